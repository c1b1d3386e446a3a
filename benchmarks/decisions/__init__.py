"""Decisions of published problems: a suite that compares the HRM with others, and files for `aegis scan` and `import`.

__main__  the suite: `make suite`, or `python -m benchmarks.decisions`
problem   a problem: its card, and its decisions, read once
problems  all problems, by name
parts     train, development and test parts, by episode
measure   accuracy, divergence, coverage at 95% agreement, intervals by episode
figures   the figures of all runs
report    the figures as tables and as a plot
sources/  where decisions come from
rivals/   what the HRM is compared with
runs/     one run, the runs that are done, the openings of the test parts
bfcl      the next tool of the Berkeley function-calling leaderboard's multi-turn tasks; it also writes plain examples
telecom   the repairs of tau2-bench's telecom tasks; it also writes a log of OpenAI chat completions
"""
