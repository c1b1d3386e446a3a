"""A kept HRM that is asked again chooses what it chose; another one, or another reading, shows where it differs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import HRMConfig
from aegis.errors import ChangedModelError, DataError
from aegis.experiments.replay import describe, replay
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS
from aegis.types import Action, Decision
from aegis.workspace import Workspace

TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=2)
COUNT = 30


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with two HRMs, each with decisions of its own over the same states, and one by a rule."""
    workspace = Workspace(tmp_path_factory.mktemp("replay") / "workspace")
    states = [{"goal": f"goal {number}", "seen": number} for number in range(COUNT)]
    with open_store(workspace) as store:
        for seed in range(2):
            torch.manual_seed(seed)
            policy = HRMPolicy(HRM(TINY), StateCodec(64), RESEARCH_ACTIONS)
            ModelRegistry(store, workspace).promote(policy.save_as)
            for number, choice in enumerate(policy.decide(states, RESEARCH_ACTIONS)):
                store.append(
                    Decision(
                        f"{policy.name}-{number}",
                        0,
                        states[number],
                        RESEARCH_ACTIONS.names,
                        Action(choice.action),
                        choice.probabilities,
                        choice.policy,
                    )
                )
        store.append(Decision("rule", 0, {"n": 1}, ("unheard of",), Action("unheard of"), None, "rule"))
    return workspace


def run(workspace, *options):
    return CliRunner().invoke(
        app, ["replay", "--workspace", str(workspace.folder), "--backend", "eager", *options], catch_exceptions=False
    )


def test_each_version_chooses_again_what_it_chose(made):
    found = list(replay(made, backend="eager"))
    assert [(one.asked, one.recorded, one.decisions) for one in found] == [
        ("hrm@1", "hrm@1", COUNT),
        ("hrm@2", "hrm@2", COUNT),
    ]
    assert all(one.differences == [] and one.largest is not None and one.largest < 1e-5 for one in found)
    result = run(made)
    assert result.exit_code == 0
    assert "hrm@2 on 30 decisions of its own: the same choice in 30 (100.00%)" in result.stdout


def test_another_version_on_the_same_states_differs_and_the_exit_code_says_so(made):
    (found,) = replay(made, ["hrm@2"], recorded="hrm@1", backend="eager")
    one = found.differences[0]
    assert one.before != one.now
    assert one.probability_before is not None
    assert one.probability_now < one.probability_before
    result = run(made, "--version", "hrm@2", "--recorded", "hrm@1", "--json")
    assert result.exit_code == 1
    (record,) = json.loads(result.stdout)
    assert len(record["differences"]) == len(found.differences) > 0


def test_probabilities_of_a_draw_and_missing_ones_are_not_compared(made, tmp_path):
    """An exploring HRM records the probabilities of the draw; a file's decisions may have none."""
    place = Workspace(tmp_path / "workspace")
    shutil.copytree(made.folder, place.folder)
    with open_store(place) as store:
        own = next(iter(store.decisions(["hrm@1"])))
        chosen = own.action.name
        mixed = tuple(0.7 * (name == chosen) + 0.3 / len(own.actions) for name in own.actions)
        for who, probabilities, propensity in (
            ("explorer", mixed, mixed[own.actions.index(chosen)]),
            ("file", None, None),
            ("both", mixed, mixed[own.actions.index(chosen)]),
            ("both", own.probabilities, None),
        ):
            drawn = replace(own, probabilities=probabilities, propensity=propensity, policy=who)
            store.append(replace(drawn, id=f"{who} {propensity}", episode=f"{who} {propensity}"))
    said = {}
    for who in ("explorer", "file", "both"):
        (found,) = replay(place, ["hrm@1"], recorded=who, backend="eager")
        said[who] = (found, describe(found))
    assert (said["explorer"][0].largest, said["file"][0].largest) == (None, None)
    assert said["explorer"][1].endswith(
        "; no probabilities to compare: 1 were drawn and record the probabilities of the draw"
    )
    assert said["file"][1].endswith("; no probabilities to compare: none are recorded of 1")
    assert (said["both"][0].largest or 0.0) < 1e-5
    assert "largest difference of a probability 0.0000 (1 were drawn" in said["both"][1]


def test_decisions_among_unknown_actions_are_left_out(made):
    (found,) = replay(made, ["hrm@1"], recorded="rule", backend="eager")
    assert (found.decisions, found.unknown) == (0, 1)


def test_what_is_not_there_is_named(made):
    with pytest.raises(DataError, match=r"hrm@9: not kept here: there are hrm@1, hrm@2"):
        list(replay(made, ["hrm@9"]))
    with pytest.raises(DataError, match="no decisions of 'gpt2' are recorded"):
        list(replay(made, recorded="gpt2"))


def test_a_version_whose_weights_have_changed_is_not_asked(made):
    path = made.models / "hrm@1" / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(ChangedModelError, match="SHA-256"):
            list(replay(made, ["hrm@1"], backend="eager"))
    finally:
        path.write_bytes(content)
