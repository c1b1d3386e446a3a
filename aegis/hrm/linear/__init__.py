"""The linear model that may serve in an HRM's place or beside it: logistic regression on fields and words, by numpy.

hashing     features as 64-bit keys, so that no word of a state stands in a model's file
policy      states in, choices out; the policy's folder
mixed       an HRM and the regression, which decide together
"""
