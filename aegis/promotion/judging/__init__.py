"""Judging a candidate before the switch, by its answers to held-out decisions.

gate        the rules that let a candidate take over, with reasons
baseline    the accuracy of simple models on the same split
metrics     agreement with the teacher: accuracy, precision, recall
interval    intervals of shares, means and differences; numeric: the functions they need, without SciPy
by_episode  intervals of a share of decisions that come in episodes
calibration the calibration error of probabilities, and the temperature that corrects it
answers     the held-out answers, kept beside the weights
coverage    the share of decisions to be had at a promised agreement, with bounds
deferral    accuracy and cost if the HRM defers to the teacher below a confidence
"""
