"""Inputs that nobody should send, for every reader of AEGIS: does each refuse them by an error of its own?

draw    inputs: documents in form, changed at random places, as bytes
target  the readers; each raises only for what it should have refused
"""
