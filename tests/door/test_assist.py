"""The mode assist: the HRM decides what its promised agreement is certified for, and its function the rest."""

from __future__ import annotations

import numpy as np
import pytest

from aegis.config import MonitorConfig, ReinforceConfig, RolloutConfig
from aegis.door import Decider, DeciderConfig
from aegis.door.savings import describe_savings
from aegis.errors import ConfigError
from aegis.lifecycle import open_store, read_monitor
from aegis.lifecycle.milestone import describe_milestone, describe_phase
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.serving.certificate import certify_version
from aegis.lifecycle.standing import read_standing
from aegis.promotion import ModelRegistry, keep_answers, write_answers
from aegis.types import Choice
from aegis.workspace import Workspace

NAMES = ["refund", "answer"]


class SureWhenTold:
    """An HRM that answers `refund`, as sure as the state says."""

    name, parameters = "hrm@1", 0

    def decide(self, states, actions):
        return [Choice.best((state["sure"], 1 - state["sure"]), actions, self.name, "hrm") for state in states]


def answers(count=300, agrees=0.99):
    """Held-out answers: in half of them it is sure and agrees this often, in the others it guesses."""
    rng = np.random.default_rng(0)
    sure = np.arange(count) % 2 == 0
    right = rng.random(count) < np.where(sure, agrees, 0.5)
    rows = np.where(sure[:, None], (0.98, 0.02), (0.55, 0.45))
    return keep_answers(rows, np.where(right, 0, 1).tolist(), [f"e{n}" for n in range(count)], NAMES)


@pytest.fixture
def decide(tmp_path, monkeypatch, wait_for):
    """Return who decides states of these confidences at a point where this version serves."""
    monkeypatch.setattr(VersionLoader, "_load", lambda self, serving, progress: SureWhenTold())

    def ask(config, kept, sure=(0.98, 0.55), figures=None, until=lambda point: True):
        point = Workspace(tmp_path).point("router")
        with open_store(point) as store:
            registry = ModelRegistry(store, point)
            if registry.serving() is None:
                registry.promote(lambda name, folder: write_answers(folder, kept), figures)
        told = []
        with Decider(
            "router", NAMES, lambda state, actions: "answer", workspace=tmp_path, config=config, notify=told.append
        ) as decider:
            by = [decider.decide({"sure": one}).policy for one in sure]
            wait_for(lambda: until(point))
        return by, [event.message for event in told]

    return ask


def test_the_hrm_decides_the_certified_part_and_its_function_the_rest(decide):
    by, _ = decide(DeciderConfig(mode="assist"), answers())
    assert by == ["hrm@1", "<lambda>"]


def test_a_promise_that_is_not_certified_leaves_everything_to_the_function(decide):
    by, told = decide(DeciderConfig(mode="assist", agreement=0.99), answers())
    assert by == ["<lambda>", "<lambda>"]
    assert any("hrm@1 decides nothing: an agreement of 0.99 is not certified for any share" in line for line in told)
    assert not any("switched" in line for line in told)


def test_a_version_that_decides_nothing_stands_so_in_the_status(decide, tmp_path):
    decide(DeciderConfig(mode="assist", agreement=0.99), answers(), until=lambda point: read_standing(point).idle)
    point = Workspace(tmp_path).point("router")
    found = read_standing(point)
    assert (found.using_hrm, found.phase, found.serving) == (False, 3, "<lambda>")
    assert "hrm@1 decides nothing: an agreement of 0.99 is certified for none of" in describe_phase(found)
    assert "a lower agreement" in describe_milestone(found)
    assert "at 99% agreement yet" in describe_savings(point)
    decide(DeciderConfig(mode="assist", agreement=0.6), answers(), until=lambda point: not read_standing(point).idle)
    assert read_standing(point).using_hrm
    assert "certified: at least 60%" in describe_savings(point)


def test_a_lower_promise_may_be_kept_by_more(decide):
    by, _ = decide(DeciderConfig(mode="assist", agreement=0.6), answers())
    assert by == ["hrm@1", "hrm@1"]


def test_a_confidence_that_the_owner_sets_stands_for_the_certified_one(decide):
    by, _ = decide(DeciderConfig(mode="assist", sure=0.5), answers(agrees=0.6))
    assert by == ["hrm@1", "hrm@1"]


def test_a_version_that_took_over_a_part_keeps_to_it_in_every_mode(decide):
    by, _ = decide(DeciderConfig(mode="switch"), answers(), figures={"promised": 0.95})
    assert by == ["hrm@1", "<lambda>"]


def test_in_the_mode_switch_without_a_promise_the_hrm_decides_everything(decide):
    by, _ = decide(DeciderConfig(mode="switch"), answers())
    assert by == ["hrm@1", "hrm@1"]


def test_the_monitor_holds_the_hrm_to_the_promise_of_its_mode(tmp_path):
    config = DeciderConfig(mode="assist", agreement=0.9)
    with open_store(Workspace(tmp_path)) as store:
        registry = ModelRegistry(store, Workspace(tmp_path))
        registry.promote(lambda name, folder: write_answers(folder, answers()), {"interval": [0.7, 0.8]})
        found = [read_monitor(store, registry, "hrm@1", one) for one in (config.watching, DeciderConfig().watching)]
    assert [one.promised for one in found if one is not None] == [0.9, 0.7]


def test_silent_answers_count_for_the_certificate_of_their_version_alone(tmp_path):
    with open_store(Workspace(tmp_path)) as store:
        assert certify_version(store, "hrm@1", answers(), 0.95).heldout == 300


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"agreement": 1.0}, "agreement must lie between 0 and 1"),
        ({"sure": 1.5}, "sure must lie between 0 and 1"),
        ({"reinforce": ReinforceConfig()}, "phase 4 changes the HRM that an agreement was certified for"),
        ({"rollout": RolloutConfig(shadow=50)}, "rollout: its stages judge an HRM that decides everything"),
    ],
)
def test_what_a_promise_excludes_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        DeciderConfig(mode="assist", **given)


def test_a_promise_holds_for_the_gate_and_the_monitor_of_the_mode_assist_alone():
    assist, sure, switch = (
        DeciderConfig(mode="assist"),
        DeciderConfig(mode="assist", sure=0.9, reinforce=ReinforceConfig()),
        DeciderConfig(),
    )
    assert [one.judging.agreement for one in (assist, sure, switch)] == [0.95, None, None]
    assert [one.watching.promised for one in (assist, sure, switch)] == [0.95, None, None]
    assert sure.resolver_options.defer_below == 0.9
    assert switch.watching == MonitorConfig()
