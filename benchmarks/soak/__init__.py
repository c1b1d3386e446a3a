"""The stress of days in hours: an hour of planted faults, a hundred kills, 50,000 decisions at full pace.

hour       the whole way under faults, and its table; ledger: what was acknowledged, and the check of the record
fault      the kinds of faults; planting: what each does; machine: a full disk, a clock that jumps, busy cores
subject    the programs that are kept running; server: the one that serves a point; provider: the language model
kills      the agent ended by SIGKILL at random moments
decisions  memory and a status over many decisions
"""
