"""How decisions are recorded.

drafting     a choice becomes a recorded decision, with its step and what belongs to it
calls        who is inside a decider, for its end
future       futures that end as others do
journal      the one thread that records for all threads of a decision point
line         a thread that takes in groups what many put in its line
said         what the HRM said of states that somebody else then decides
"""
