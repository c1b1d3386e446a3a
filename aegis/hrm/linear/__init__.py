"""The linear model that may serve in an HRM's place: logistic regression on fields and words, by numpy alone.

hashing     features as 64-bit keys, so that no word of a state stands in a model's file
policy      states in, choices out; the policy's folder
"""
