"""Silent answers: kept beside the teacher's decisions, followed by the monitor, asked of the version that serves."""

from __future__ import annotations

import time

import pytest

from aegis.door import Decider, DeciderConfig
from aegis.door.shadow import Shadow
from aegis.lifecycle import open_store
from aegis.lifecycle.serving.monitor import ServingMonitor
from aegis.promotion import ModelRegistry, Serving
from aegis.store import LabelBook
from aegis.types import Action, ActionList, ActionSpec, Choice, Decision
from aegis.workspace import Workspace

NAMES = ("refund", "escalate", "answer")
ACTIONS = ActionList(tuple(ActionSpec(name, name, name) for name in NAMES))


class Version:
    name, parameters = "hrm@1", 7

    def __init__(self, row):
        self.row = row

    def decide(self, states, actions):
        if self.row is None:
            raise RuntimeError("torn files")
        row = [self.row[NAMES.index(name)] for name in actions.names]
        return [Choice.best([share / sum(row) for share in row], actions, self.name, "hrm") for _ in states]


@pytest.fixture
def shadowing(tmp_path):
    """Return what makes a shadow whose version always answers the same, with its store and what it tells."""
    workspace, told = Workspace(tmp_path), []
    with open_store(workspace) as store:
        monitor = ServingMonitor(store, workspace, ACTIONS, lambda: Version(None))

        def make(row):
            surest = lambda choice: max(choice.probabilities) > 0.5  # noqa: E731
            shadow = Shadow(store, workspace, ACTIONS, lambda serving: Version(row), monitor, told.append, surest)
            shadow.follow(Serving("hrm@1", workspace.models / "hrm@1", ""))
            return shadow, store, told

        yield make


def decided(store, number, offered=NAMES):
    decision = Decision(f"e{number}", 0, {"n": number}, offered, Action(offered[-1]), None, "route")
    store.append(decision)
    return decision


def settle(shadow, wait_for):
    wait_for(shadow.settle)


def test_an_answer_is_kept_among_the_actions_that_were_on_offer(shadowing, wait_for):
    shadow, store, _ = shadowing((0.5, 0.3, 0.2))
    shadow.ask(decided(store, 1, NAMES[1:]))
    settle(shadow, wait_for)
    shadow.close()
    ((row, taken, episode, _),) = LabelBook(store.database).comparisons("hrm@1", 9)
    assert row == pytest.approx((0.6, 0.4))
    assert (taken, episode, shadow.kept) == (1, "e1", 1)


def test_a_version_that_can_not_be_asked_is_told_of_once(shadowing, wait_for):
    shadow, store, told = shadowing(None)
    for number in range(2):
        shadow.ask(decided(store, number))
        settle(shadow, wait_for)
    shadow.close()
    assert told == ["hrm@1 can't be asked beside its teacher: torn files"]
    assert shadow.kept == 0


def test_nobody_is_asked_where_none_serves(shadowing):
    shadow, store, _ = shadowing((1.0, 0.0, 0.0))
    shadow.follow(None)
    shadow.ask(decided(store, 1))
    assert shadow.settle() is False
    assert shadow.version is None


@pytest.mark.long
def test_the_hrm_of_a_decider_in_the_mode_observe_answers_silently_too(learned, tmp_path, rule, ticket):
    def route(state, actions):
        return rule(state["ticket"])

    with open_store(learned) as store:
        before = LabelBook(store.database).count("hrm@1")
        config = DeciderConfig(mode="observe")
        with Decider("support-router", NAMES, route, workspace=tmp_path, config=config) as decider:
            number, until = 0, time.monotonic() + 120
            while LabelBook(store.database).count("hrm@1") < before + 5:
                assert time.monotonic() < until
                assert decider.decide({"ticket": ticket(number), "tier": "new"}).policy == "route"
                number += 1
                time.sleep(0.02)
            assert (decider.report_savings(cost_per_call=0.01).dollars or 0) > 0


@pytest.mark.long
def test_an_hrm_whose_silent_answers_stop_agreeing_is_taken_back_before_it_ever_decides(learned, observing, ticket):
    events = []

    def route(ticket, tier="new"):
        return NAMES[len(ticket) % 3]

    observed = observing(notify=events.append)(route)
    with open_store(learned) as store:
        registry = ModelRegistry(store, learned)
        number, until = 0, time.monotonic() + 120
        while registry.serving() is not None:
            assert time.monotonic() < until
            observed(ticket(number))
            number += 1
            time.sleep(0.02)
        assert registry.events()[-1].kind == "rolled_back"
    assert observed.observer.faults == {}
