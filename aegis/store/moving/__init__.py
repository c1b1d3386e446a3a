"""A workspace's rows from one engine to the other, whole.

copying   every row of a database into an empty one
"""

from __future__ import annotations
