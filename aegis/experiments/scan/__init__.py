"""What a file of decisions promises before anything is trained.

sample     decision points told apart and counted, whole episodes of them kept
repetition how often a state comes again, and whether the teacher then decides the same
model      simple models, and what they say about decisions they have not seen
forecast   the share of the decisions to be had at a promised agreement, with bounds
report     all of it together, and what is too little
"""

from aegis.experiments.scan.report import PointReport, ScanReport, scan

__all__ = ["PointReport", "ScanReport", "scan"]
