"""Decisions as the page shows them.

filter     which decisions a page shows
decision   a decision in short, and whole
"""
