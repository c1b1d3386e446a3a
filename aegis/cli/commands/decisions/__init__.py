"""Commands on decisions: in files, in a workspace, in a decision point.

check       `aegis check`: whether decisions are fit for training
exporting   `aegis export`
importing   `aegis import`
reporting   `aegis report`: what came of decisions
audit       `aegis audit-data`: states on both sides of a split
"""
