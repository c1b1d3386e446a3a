"""What judges a candidate before the switch, by its answers to held-out decisions.

gate        the rule that lets a candidate take over, with its reasons
baseline    what simple models reach on the same split
metrics     accuracy, precision and recall beside the teacher
interval    intervals of shares, means and differences; numeric: the functions they need, without SciPy
calibration whether probabilities mean what they say
answers     the held-out answers, kept beside the weights
coverage    the share of decisions that can be had at a promised agreement, with bounds
deferral    where the HRM hands over to the teacher, and what each bound would bring
"""
