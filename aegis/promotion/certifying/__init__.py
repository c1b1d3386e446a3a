"""The second way to take over: by the share of the decisions for which a promised agreement is certified.

certificate the largest share that is certified, and the confidence from which on the HRM decides
promise     the agreement that a version promises on what it decides
"""
