"""Bounds on what is read from files that somebody else may have written: length, depth, and how far they unpack.

file      files of records, line by line where their form allows
document  JSON text, and files of settings

The bounds lie far above any honest file, so that a crafted one costs little memory before it is refused. Every refusal
says what to do.
"""

from aegis.bounds.document import DOCUMENT_BYTES, LEVELS, parse_json, read_json, read_text
from aegis.bounds.file import (
    HELD_LENGTH,
    LINE_LENGTH,
    LINE_VALUES,
    MOST_ODD,
    UNPACKED_FREE,
    UNPACKED_RATIO,
    WHOLE_LENGTH,
    WHOLE_VALUES,
    is_packed,
    lines_of,
    whole_of,
)

__all__ = [
    "DOCUMENT_BYTES",
    "HELD_LENGTH",
    "LEVELS",
    "LINE_LENGTH",
    "LINE_VALUES",
    "MOST_ODD",
    "UNPACKED_FREE",
    "UNPACKED_RATIO",
    "WHOLE_LENGTH",
    "WHOLE_VALUES",
    "is_packed",
    "lines_of",
    "parse_json",
    "read_json",
    "read_text",
    "whole_of",
]
