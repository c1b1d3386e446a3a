"""The parts of phase 4's update: advantages, baseline, the actions to keep, the weights to return to."""
