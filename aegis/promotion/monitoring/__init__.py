"""What monitors a model on live decisions: a candidate in its stages, and the HRM that serves.

stage    whether a candidate has proved itself in a stage
monitor  whether the HRM still agrees with its teacher as it promised
evidence anytime-valid evidence that a share has fallen
drift    whether a state is unlike those in training
"""
