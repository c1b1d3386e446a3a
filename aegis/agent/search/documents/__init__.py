"""The documentation that is installed on this machine, as passages in an index. Searching it is `offline`'s part.

corpus    what can be searched: Python's own documentation and that of the installed distributions
library   passages out of a tree of modules; docstring, skeleton and compiled read one module
prose     documentation markup as readable text
reading   the sources read on all cores; reader is the process that reads
index     the full-text index of passages
"""
