"""What is recorded with a decision that a choice makes."""

from __future__ import annotations

import pytest

from aegis.door.recording.drafting import draft, record
from aegis.store import Database, DecisionStore, Drawn, ImprovementLog
from aegis.types import Choice, DrawnTurn


@pytest.mark.parametrize("turn", [DrawnTurn(7, 3), None])
def test_the_turn_that_was_drawn_is_recorded_with_the_decision(tmp_path, turn):
    choice = Choice((0.5, 0.5), "a", "hrm@2", "hrm", 0.5, turn=turn)
    with Database(tmp_path / "aegis.db") as database:
        record(DecisionStore(database), [draft({"n": 1}, ("a", "b"), choice, None)])
        assert ImprovementLog(database).drawn("hrm@2", 0) == ([Drawn(True, None, turn)] if turn else [])
