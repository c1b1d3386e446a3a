"""Commands that may work on Ray.

fleet       `aegis collect --ray`
labelling   `aegis label`
"""
