"""The public way in: decisions of any agent recorded, learned and taken over, in a few lines.

`decider` makes decisions and takes their outcomes. `steward` trains and switches beside it, in a thread of its own.
`given` turns what a caller has (names, functions, texts) into AEGIS's own words. `setting` holds the settings.
"""

from aegis.door.decider import Decided, Decider
from aegis.door.setting import DeciderConfig

__all__ = ["Decided", "Decider", "DeciderConfig"]
