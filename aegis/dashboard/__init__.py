"""The dashboard: one page on which an agent's life can be followed, and its owner can act.

overview   where the agent and its decision points stand, for the page and for `aegis status`
"""
