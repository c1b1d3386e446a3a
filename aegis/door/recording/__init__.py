"""How decisions are recorded.

drafting     a choice becomes a recorded decision, with its step and what belongs to it
journal      the one thread that records for all threads of a decision point
said         what the HRM said of states that somebody else then decides
"""
