"""Phase 2: a candidate trained on the teacher's decisions and judged, here or in a process beside the agent.

data          decisions to learn from, their split, and whether they are fit
leakage       held-out states that also occur in training, and the accuracy that rests on them
learning      a candidate's learning, by one process or by several together
candidate     train a candidate, judge it, let it serve
need          the fewest decisions with which a promised agreement can be certified
scheduler     when a training is due, and what became of it
rare          actions that an HRM can hardly learn, and what to do about them
worker        the process that trains
refusal       what the gate said of a training, rule by rule
setting_trial the agent's proposed settings: decided by rule, put in use, tried, kept or undone
memory        how much memory a training held
"""
