"""Older parts of a workspace's record in Parquet files beside its database.

book     the table of the files: which part of the chain each one holds
form     a file: its columns, written and read by PyArrow, an extra
reading  what rows of the database left in a file; the chain of hashes from its beginning, wherever it is
writing  the next part of the record moved into a file, so that a kill loses nothing
choice   which decisions are old enough
erasing  a file written anew without what its owner had erased
"""

from __future__ import annotations
