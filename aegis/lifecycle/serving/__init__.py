"""A model before and after the switch: tried in stages, compared with its teacher, rolled back.

rollout       shadow, canary, full: a candidate before the switch
stage         how far the candidate is in its stage
certificate   what a version may decide at a promised agreement
monitor       the teacher asked beside the HRM that serves; warnings and roll-backs
drift         states out of distribution, counted
"""
