"""Runs of the suite.

running  one run: a rival searches its settings, learns, answers, and is judged
kept     runs that are done, by problem, size, seed and rival
opening  openings of the test parts, each recorded
"""
