"""The plots of docs/, drawn again from the figures that were measured: `python -m benchmarks.figures`."""
