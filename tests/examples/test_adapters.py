"""The examples for agent frameworks: each runs with a scripted model, by its teacher at first, then by an HRM.

A framework that is not installed skips its example; `make test-adapters` installs all of them.
"""

from __future__ import annotations

import importlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aegis.config import HRMConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.door import Decider
from aegis.lifecycle import open_store, read_workspace_data, train_and_judge
from aegis.workspace import Workspace

EXAMPLES = Path(__file__).parents[2] / "examples"
ACTIONS = ["refund", "escalate", "answer"]
WORDS = {"refund": "broken", "escalate": "lawyer", "answer": "where"}
TICKETS = ["broken order 1000", "lawyer order 1001", "where order 1002"]
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the frameworks' own
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


class Script:
    """What every scripted model answers: the action that a ticket's words name. It counts the questions."""

    def __init__(self) -> None:
        self.routed: list[str] = []

    def route(self, text: str) -> str:
        self.routed.append(text)
        return next(name for name, word in WORDS.items() if word in text)


def for_langgraph(script: Script) -> Any:
    def ask_model(state: Any, actions: Any) -> str:
        return script.route(state["ticket"])

    return ask_model


def for_pydantic_ai(script: Script) -> Any:
    from pydantic_ai.messages import ModelResponse, ToolCallPart
    from pydantic_ai.models.function import FunctionModel

    def answer(messages: Any, info: Any) -> Any:
        action = script.route(str(messages[-1].parts[-1].content))
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"response": action})])

    return FunctionModel(answer)


def for_smolagents(script: Script) -> Any:
    from smolagents import ChatMessage, MessageRole, Model
    from smolagents.models import ChatMessageToolCall, ChatMessageToolCallFunction

    class Scripted(Model):  # type: ignore[misc]
        def generate(self, messages: Any, *args: Any, tools_to_call_from: Any = None, **options: Any) -> Any:
            if not tools_to_call_from:
                return ChatMessage(MessageRole.ASSISTANT, script.route(str(messages[-1].content)))
            ticket = next(one for one in TICKETS if one in str(messages))
            name = next(one for one in ACTIONS if f"You {one}." in str(messages))
            call = ChatMessageToolCallFunction(name="final_answer", arguments={"answer": f"{name}: {ticket}"})
            return ChatMessage(MessageRole.ASSISTANT, "", [ChatMessageToolCall(function=call, id="1", type="function")])

    return Scripted()


def for_openai_agents(script: Script) -> Any:
    import agents
    from agents.items import ModelResponse
    from agents.usage import Usage
    from openai.types.responses import ResponseOutputMessage, ResponseOutputText

    agents.set_tracing_disabled(True)  # traces go to a server

    class Scripted(agents.Model):  # type: ignore[misc]
        async def get_response(self, system_instructions: Any, input: Any, *args: Any, **options: Any) -> Any:
            ticket = next(one for one in TICKETS if one in str(input))
            if system_instructions == "Choose who handles the ticket.":
                answer = json.dumps({"response": script.route(ticket)})
            else:
                answer = f"{system_instructions.removeprefix('You ').removesuffix('.')}: {ticket}"
            text = ResponseOutputText(annotations=[], text=answer, type="output_text")
            message = ResponseOutputMessage(
                id="1", content=[text], role="assistant", status="completed", type="message"
            )
            return ModelResponse(output=[message], usage=Usage(), response_id=None)

        def stream_response(self, *args: Any, **options: Any) -> Any:
            raise NotImplementedError

    return Scripted()


FRAMEWORKS: dict[str, tuple[str, Callable[[Script], Any]]] = {
    "langgraph_router": ("langgraph", for_langgraph),
    "pydantic_ai_router": ("pydantic_ai", for_pydantic_ai),
    "smolagents_router": ("smolagents", for_smolagents),
    "openai_agents_triage": ("agents", for_openai_agents),
}


@pytest.fixture(scope="module")
def switched(tmp_path_factory):
    """A workspace whose point has switched to an HRM already."""
    folder, draw = tmp_path_factory.mktemp("switched"), random.Random(0)

    def ask_model(state: Any, actions: Any) -> str:
        return next(name for name, word in WORDS.items() if word in state["ticket"])

    with Decider("support-router", ACTIONS, ask_model, workspace=folder) as decider:
        for number in range(120):
            decider.decide({"ticket": f"{draw.choice(list(WORDS.values()))} order {number}"})
    training = TrainingConfig(epochs=12, learning_rate=3e-3, checkpoint_every_epochs=12)
    point = Workspace(folder).point("support-router")
    outcome = train_and_judge(read_workspace_data(point), point, TrainingPlan(training, model=TINY))
    assert outcome.serving is not None
    return folder


def load_example(name: str) -> tuple[Any, Any, Script]:
    """Return an example with its scripted model; skips where the framework is not installed."""
    package, make_model = FRAMEWORKS[name]
    pytest.importorskip(package, reason=f"{package} is not installed: make test-adapters installs it")
    script = Script()
    return importlib.import_module(f"examples.{name}"), make_model(script), script


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_frameworks_model_decides_until_an_hrm_has_taken_over(name, tmp_path):
    example, model, script = load_example(name)
    replies = example.handle(TICKETS, model, tmp_path)
    assert replies == [f"{action}: {ticket}" for action, ticket in zip(ACTIONS, TICKETS, strict=True)]
    assert len(script.routed) == 3
    with open_store(Workspace(tmp_path).point("support-router")) as store:
        assert store.action_counts("ask_model") == dict.fromkeys(sorted(ACTIONS), 1)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_after_the_switch_the_hrm_decides_and_the_model_is_not_asked(name, switched, tmp_path):
    example, model, script = load_example(name)
    shutil.copytree(switched, tmp_path / "workspace")
    example.handle(TICKETS, model, tmp_path / "workspace")
    with open_store(Workspace(tmp_path / "workspace").point("support-router")) as store:
        assert store.count("hrm@1") == 3
    assert script.routed == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_fits_in_thirty_lines_and_has_a_test(path):
    assert len(path.read_text("utf-8").splitlines()) <= 30
    assert path.stem in FRAMEWORKS
