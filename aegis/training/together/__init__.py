"""Several processes that train one HRM together, on one machine or on many.

group        the processes, and what they add up and tell each other
"""
