from __future__ import annotations

from itertools import islice

import pytest

from aegis.hrm import StateCodec
from aegis.research import RESEARCH_ACTIONS
from aegis.store import RecordedDecisions
from aegis.training import encode_decisions, open_dataset
from aegis.workspace import Workspace
from benchmarks import scale


def test_decisions_are_the_seeds_and_of_all_actions():
    one, again, other = (list(islice(scale.make_decisions(200, seed), 200)) for seed in (0, 0, 1))
    assert [d.state for d in one] == [d.state for d in again] != [d.state for d in other]
    assert {d.action.name for d in one} == set(RESEARCH_ACTIONS.names)
    assert len({d.episode for d in one}) == 10
    lengths = [len(StateCodec().encode(d.state)) for d in one]
    assert 36 <= sum(lengths) / len(lengths) <= 96  # as those of the shipped decisions


def test_recorded_decisions_are_encoded_once_and_whole(tmp_path):
    assert scale.record(tmp_path, 130) > 0
    figures = scale.encode(tmp_path)
    workspace = Workspace(tmp_path)
    recorded = RecordedDecisions(workspace.database, "scripted")
    data = open_dataset(recorded, RESEARCH_ACTIONS, StateCodec(), workspace.datasets)
    assert len(data) == 130
    assert data.fingerprint == encode_decisions(list(recorded), RESEARCH_ACTIONS, StateCodec()).fingerprint
    assert figures["cache_mb"] * 1e6 >= 2 * len(data.tokens)


@pytest.mark.parametrize("options", [["--decisions", "100"], ["--steps", "0"]])
def test_too_few_decisions_or_steps_are_refused(options, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["scale", *options])
    with pytest.raises(SystemExit):
        scale.main()
    assert "give at least 1100 --decisions and 1 of --steps" in capsys.readouterr().err
