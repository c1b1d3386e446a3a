"""Runs of the suite.

running  one run: a rival searches its settings, learns, answers, and is judged
kept     runs that are done, by problem, size, seed and rival
joining  what is measured of each judged decision, several seeds joined
opening  openings of the test parts, each recorded
"""
