from __future__ import annotations

import pytest

from aegis.config import HRMConfig
from benchmarks import many_actions

TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=2)


def test_an_hrm_is_trained_and_timed_among_many_actions():
    actions = many_actions.make_actions(30)
    assert {one.action.name for one in many_actions.make_decisions(actions, 120)} == set(actions.names)
    policy, seconds = many_actions.train(actions, 120, TINY)
    few = many_actions.make_actions(4)
    found = many_actions.time_decisions({"many": (policy, actions), "few": (policy.with_actions(few), few)}, 3)
    assert seconds > 0
    assert set(found) == {"many", "few"}
    assert min(found.values()) > 0


@pytest.mark.parametrize("options", [["--actions", "4"], ["--decisions", "10"]])
def test_too_few_actions_or_decisions_are_refused(options, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["many_actions", *options])
    with pytest.raises(SystemExit):
        many_actions.main()
    assert "give more than 4 --actions and at least 100 --decisions" in capsys.readouterr().err
