"""Decisions out of files that other programs wrote: logs of language models, spans, tables, examples.

record     one decision as a file shows it
kind       the kinds of decisions in a file, told apart
exchange   one request to a language model and its answer, and the decisions in it
openai     lines with OpenAI's chat completions
anthropic  lines with Anthropic's messages
spans      OpenTelemetry spans of language models
state      a state alone, for a teacher to label
column     what the fields of a flat record are used for: its time, its episode; the others are its state
example    `{"input": ..., "label": ...}`, flat ones without `input`, AEGIS's own records
table      rows of a table with a column of labels
file       a file opened, its format recognised, its decisions one after the other
"""

from aegis.formats.file import FORMATS, Reading, Refused, read_decisions
from aegis.formats.kind import EVERYTHING, By, kinds
from aegis.formats.record import ANSWER, TOGETHER, Fields, LoggedDecision

__all__ = [
    "ANSWER",
    "EVERYTHING",
    "FORMATS",
    "TOGETHER",
    "By",
    "Fields",
    "LoggedDecision",
    "Reading",
    "Refused",
    "kinds",
    "read_decisions",
]
