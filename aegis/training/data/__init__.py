"""Decisions as training data.

dataset encoded decisions in a few arrays, and batches of them
storage datasets kept on disk and mapped into memory
split   the training part and the held-out part
"""
