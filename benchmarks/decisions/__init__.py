"""Decisions of published problems, written as files that `aegis scan` and `aegis import` read.

bfcl      the next tool of the Berkeley function-calling leaderboard's multi-turn tasks, as plain examples
telecom   the repairs of tau2-bench's telecom tasks, as a log of OpenAI chat completions
"""
