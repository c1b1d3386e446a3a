"""The documentation installed on this machine, as passages in an index; `offline` searches it.

corpus    what can be searched: the documentation of Python itself and of the installed distributions
library   passages from a tree of modules; docstring, skeleton and compiled read a module
prose     documentation markup as readable text
reading   the sources, read on all cores; reader is the process that reads
index     the full-text index of passages
"""
