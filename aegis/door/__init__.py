"""The public way in: decisions of any agent recorded, learned and taken over, in a few lines.

`decider` makes decisions and takes their outcomes. `steward` trains and switches beside it, in a thread of its own;
`shadow` lets the HRM answer silently, `savings` tells what that would save. `observing` is for agents whose code is to
stay as it is: `observe` for a function, `observe_openai` for a client. `given` turns what a caller has (names,
functions, texts) into AEGIS's own words, `teacher` what it gives as the teacher. `setting` holds the settings.
"""

from aegis.door.decider import Decided, Decider
from aegis.door.observing import observe, observe_openai
from aegis.door.savings import Savings
from aegis.door.setting import DeciderConfig

__all__ = ["Decided", "Decider", "DeciderConfig", "Savings", "observe", "observe_openai"]
