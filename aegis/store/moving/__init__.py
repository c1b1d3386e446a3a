"""A workspace's rows from one engine to the other, whole.

copying   every row of a database into an empty one
move      a workspace's database on the other engine, in the place of the one it had
"""

from __future__ import annotations
