"""The command line: the only place that reads arguments and builds objects."""

import os

# Before torch is imported. Threads that spin long while they wait make two trainings on one machine twenty times as
# slow; threads that never spin make one alone 1.4 times as slow (docs/experiments.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
