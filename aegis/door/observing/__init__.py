"""A function or a client that decides, observed from outside: nothing of it changes, whatever goes wrong here.

observer       one decision point that is observed: its threads, its counts, what the HRM may answer
recorder       the thread that puts decisions on the disk after they were made
fault          what went wrong, counted by kind and logged once for each
wrapping       `observe`, for a function
openai_client  `observe_openai`, for a client of OpenAI's
exchange       a client's request and response, as the readers of logs take them
"""

from aegis.door.observing.observer import Observer
from aegis.door.observing.openai_client import observe_openai
from aegis.door.observing.wrapping import observe

__all__ = ["Observer", "observe", "observe_openai"]
