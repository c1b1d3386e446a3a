"""Decisions as training data.

dataset encoded decisions in a few arrays, and the batches made of them
storage datasets kept on disk and mapped
split   what is trained on and what judges
"""
