"""The public interface: record, learn and take over the decisions of any agent.

`decider` makes decisions and takes their outcomes (`outcome`); `recording` records both, in one thread for all threads.
`crowd` lets the HRM decide at once what many ask at the same time. `steward` trains and switches beside it, in its own
thread; `shadow` lets the HRM answer silently, and `savings` tells what that would save. `observing` is for agents whose
code stays as it is: `observe` for a function, `observe_openai` for a client. `intake` puts a file's decisions into a
point. `given` converts a caller's names, functions and texts to AEGIS's types, and `teacher` its teacher. `setting`
holds the settings.
"""

from aegis.door.decider import Decided, Decider
from aegis.door.observing import observe, observe_openai
from aegis.door.savings import Savings
from aegis.door.setting import DeciderConfig

__all__ = ["Decided", "Decider", "DeciderConfig", "Savings", "observe", "observe_openai"]
