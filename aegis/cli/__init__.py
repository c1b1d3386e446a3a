"""The command line: the only place that reads arguments and builds objects."""

import os

# Before torch is imported: threads that spin while they wait made a training beside another job twenty times as slow.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
