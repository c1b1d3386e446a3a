"""Many research agents that collect at once, each an actor of Ray with episodes of its own.

agent    an agent in an actor: decides with a scratch record of its own, and hands over what it did
writer   the one writer: appends once what agents hand over, and keeps what failed
collect  starts the agents, asks them for decisions, replaces those that die
"""
