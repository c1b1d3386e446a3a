"""Decisions of a file put into a decision point: its actions, its teacher, its decisions and their rewards.

file     a file imported from its first line to its last
survey   what a file holds, and which of it a point takes: kinds of decisions, actions, teacher
adding   decisions of another program added one by one
result   the options of an import, and its result

Importing a file again adds nothing, and a file that has grown adds what is new: a decision's id is the file's own, or
follows from the decision's content.
"""

from aegis.door.intake.file import import_file, rehearsed
from aegis.door.intake.result import Intake, IntakeOptions

__all__ = ["Intake", "IntakeOptions", "import_file", "rehearsed"]
