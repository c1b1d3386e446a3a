"""The forms in which language models are asked and answer, one for each path of the gateway.

form       what every form can do, and a decision that is to be written in one
chat       OpenAI's chat completions
responses  OpenAI's responses
messages   Anthropic's messages
"""

from aegis.serving.gateway.dialect.chat import ChatCompletions
from aegis.serving.gateway.dialect.form import Dialect, Reply
from aegis.serving.gateway.dialect.messages import Messages
from aegis.serving.gateway.dialect.responses import Responses

DIALECTS: dict[str, Dialect] = {one.path: one for one in (ChatCompletions(), Responses(), Messages())}
"""By path"""

__all__ = ["DIALECTS", "Dialect", "Reply"]
