"""The public interface: record, learn and take over the decisions of any agent.

`decider` makes decisions and takes their outcomes. `steward` trains and switches beside it, in its own thread.
`given` converts a caller's names, functions and texts to AEGIS's types. `setting` holds the settings.
"""

from aegis.door.decider import Decided, Decider
from aegis.door.setting import DeciderConfig

__all__ = ["Decided", "Decider", "DeciderConfig"]
