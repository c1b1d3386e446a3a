"""The steward goes on, whatever fails beside the decisions."""

from __future__ import annotations

from aegis.door import Decider
from aegis.door.steward import _Work


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
