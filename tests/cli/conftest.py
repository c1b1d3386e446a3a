import contextlib
import json
import random
from functools import cache, partial
from pathlib import Path

import pytest
import typer.main

from aegis.config import HRMConfig
from aegis.config.plan import TrainingPlan

ACTIONS = ("web_search", "ask_human", "propose_improvement", "idle")


def example(number: int, action: str, episode: str) -> dict:
    """A decision that follows from one word of its state."""
    likely = {name: 0.91 if name == action else 0.03 for name in ACTIONS}
    return {
        "id": f"{number:032x}",
        "episode": episode,
        "step": number % 10,
        "state": {"cue": f"now {action.split('_')[0]} please", "number": number},
        "action": {"action": action} | ({"query": f"query {number}"} if action == "web_search" else {}),
        "actions": list(ACTIONS),
        "probabilities": likely,
        "policy": "tiny-teacher",
        "result": {},
        "timestamp": "2026-11-01T12:00:00+00:00",
    }


@pytest.fixture(scope="session", autouse=True)
def _search_index(search_index):
    """Commands that let an agent decide find an index."""


@pytest.fixture(scope="session", autouse=True)
def _commands_made_once():
    """Typer makes all two dozen commands anew for each one that a test runs: 50 ms, some hundred times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session")
def write_decisions_to():
    """Return what writes decisions that can be learned into a folder; for fixtures that many tests share."""

    def write(folder: Path, count: int, shuffled: bool = False) -> Path:
        draw = random.Random(0)
        chosen = [draw.choice(ACTIONS) for _ in range(count)]
        examples = [example(k, action, f"episode-{k // 10}") for k, action in enumerate(chosen)]
        if shuffled:
            draw.shuffle(chosen)
            for one, action in zip(examples, chosen, strict=True):
                one["action"] = {"action": action}
                one["probabilities"] = {name: 0.91 if name == action else 0.03 for name in ACTIONS}
        path = folder / "decisions.json"
        metadata = {"teacher": {"name": "tiny-teacher", "parameters": 1_000_000}}
        path.write_text(json.dumps({"metadata": metadata, "examples": examples}))
        return path

    return write


SMALL = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


@pytest.fixture
def small_hrm(monkeypatch):
    """Let trainings and checks make a small HRM, where a test is about what else they do."""
    from aegis.hrm import HRM

    monkeypatch.setattr("aegis.training.imitation.HRMConfig", lambda: SMALL)
    monkeypatch.setattr("aegis.cli.commands.train.TrainingPlan", partial(TrainingPlan, model=SMALL))
    monkeypatch.setattr("aegis.training.check.HRM", lambda: HRM(SMALL))


@pytest.fixture(scope="module")
def small_trainings():
    """Let all trainings of a module make a small HRM."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aegis.training.imitation.HRMConfig", lambda: SMALL)
        patch.setattr("aegis.cli.commands.train.TrainingPlan", partial(TrainingPlan, model=SMALL))
        yield


@pytest.fixture
def told(monkeypatch):
    """Return a function that lets a list take what a command says it is at: what, done, of how much."""

    def listen(module: str) -> list[tuple[str, int, int]]:
        heard: list[tuple[str, int, int]] = []

        @contextlib.contextmanager
        def waiting(on_stderr=False):
            yield lambda what, done, total: heard.append((what, done, total))

        monkeypatch.setattr(f"aegis.cli.{module}.waiting", waiting)
        return heard

    return listen


@pytest.fixture
def write_decisions(write_decisions_to, tmp_path):
    return partial(write_decisions_to, tmp_path)
