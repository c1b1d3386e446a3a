"""Decisions as the page shows them.

filter     which decisions a page shows
search     the words of the states; indexing: reads them beside the page
decision   a decision in short, and whole
reading    a state as the HRM reads it
likeness   the decisions in training that are most like one
heldout    held-out decisions: examples of what a version confuses, two versions compared
relabel    a person's word on a decision
"""
