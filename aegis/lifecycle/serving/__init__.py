"""A model before the switch and after it: tried in stages, compared with its teacher, warned of, rolled back.

rollout      shadow, canary, full: a candidate before the switch
stage        where the candidate stands in its stage
monitor      the teacher asked beside the HRM that serves; warnings and roll-backs
drift        states out of distribution, counted
monitored_run  the policy of one `aegis run`, watched after each decision
"""
