"""Phase 4: the HRM improves from the rewards of its own decisions, in the workspace and in simulated worlds.

supervisor        what the runner needs: versions to explore by, the process that improves them, its news
worker            the process that updates, checks and publishes versions
transition        rewarded decisions, as an update learns from them
reward_comparison what improved versions earn, and the version that phase 4 began with; its state
reward_evidence   whether improved versions earn less, by stretches whose decider was drawn
version           a version that is changed, that decides on the way, and that is kept
simulated         phase 4 in simulated worlds
measurement       what a policy earns in simulated worlds that it never learned in
pace              how long phase 4 takes here, and what fits into the time that is left
"""
