"""The plots of docs/, drawn again from the measured figures: `python -m benchmarks.figures`."""
