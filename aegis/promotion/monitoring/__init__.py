"""Monitoring a model on live decisions: a candidate in its stages, and the HRM that serves.

stage    the verdict on a candidate in a stage before the switch
rewards  whether a candidate earns less than its teacher in a canary
monitor  the agreement of the serving HRM with its teacher, and when to warn or roll back
blocks   audits gathered by episode
evidence anytime-valid evidence that a share has fallen
drift    the distance of a state from the training states
"""
