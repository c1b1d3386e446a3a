"""The steward goes on, whatever fails beside the decisions, and follows at once what another process lets serve."""

from __future__ import annotations

from aegis.config import HRMConfig
from aegis.door import Decider, steward
from aegis.door.given import make_actions
from aegis.door.steward import _Work
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry

TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


def test_the_work_goes_on_where_nobody_hears_of_its_failures(tmp_path, monkeypatch, wait_for):
    looks = []

    def fail(self, trains):
        looks.append(trains)
        raise RuntimeError("the database is away")

    def refuse(event):
        raise BrokenPipeError("the terminal is closed")

    monkeypatch.setattr(_Work, "look", fail)
    with Decider("router", ["a", "b"], lambda state, actions: "a", workspace=tmp_path, notify=refuse) as decider:
        wait_for(lambda: len(looks) >= 3)
        assert decider.decide({"n": 1}).action == "a"


def test_a_promotion_and_a_roll_back_do_not_wait_for_the_next_look(tmp_path, monkeypatch, wait_for):
    plain, looks, events = _Work.look, [], []

    def look(self, trains):
        monkeypatch.setattr(steward, "_LOOK_SECONDS", 100_000.0)  # a look after this one is an early one
        plain(self, trains)
        looks.append(trains)

    monkeypatch.setattr(_Work, "look", look)

    def takes_over(name):
        assert not [event.message for event in events if event.kind in ("failed", "waiting")]
        return decider._steward.policy.name == name

    hear = events.append
    with Decider("router", ["a", "b"], lambda state, actions: "a", workspace=tmp_path, notify=hear) as decider:
        wait_for(lambda: looks)
        with open_store(decider.workspace) as store:
            registry = ModelRegistry(store, decider.workspace)
            for version in ("hrm@1", "hrm@2"):
                registry.promote(HRMPolicy(HRM(TINY), StateCodec(48), make_actions(["a", "b"])).save_as)
                wait_for(lambda name=version: takes_over(name))
            registry.roll_back("hrm@1", "owner", "measured")
            wait_for(lambda: takes_over("hrm@1"))
            registry.roll_back(None, "owner", "measured")
            wait_for(lambda: decider._steward.policy is decider.teacher)
