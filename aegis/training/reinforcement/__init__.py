"""The parts of phase 4's update: advantages, baseline, the weights to return to."""
