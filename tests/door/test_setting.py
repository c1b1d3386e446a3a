"""The settings of a decision point: values of other types are refused by their names."""

from __future__ import annotations

import math
from typing import Any

import pytest

from aegis.config import ReinforceConfig
from aegis.door import Decider, DeciderConfig
from aegis.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        (
            {"never_explored": "refund"},
            r"never_explored='refund' is one text: give .* e.g. never_explored=\['refund'\]",
        ),
        ({"never_explored": 5}, "never_explored must be a list of names, not 5"),
        ({"retired": "refund"}, "retired='refund' is one text"),
        ({"renamed": ["a"]}, r"renamed must name new names by old ones, .*, not \['a'\]"),
        ({"device": "zz"}, "device 'zz': use cpu, cuda, cuda:N or auto"),
        ({"reinforce": True}, r"reinforce must be an aegis.config.ReinforceConfig\(...\), not True"),
        ({"training": None}, r"training must be an aegis.config.TrainingConfig\(...\), not None"),
        ({"sure": "0.5"}, "sure must be a number, not '0.5'"),
        ({"collect": "500"}, "collect must be a number, not '500'"),
        ({"explore": True}, "explore must be a number, not True"),
        ({"agreement": None}, "agreement must be a number, not None"),
    ],
)
def test_a_setting_of_another_type_is_refused_by_its_name(setting, named):
    with pytest.raises(ConfigError, match=named):
        DeciderConfig(**setting)


def test_settings_of_their_types_are_taken():
    given = DeciderConfig(sure=None, retired=("a",), renamed={}, device="cuda:1", reinforce=ReinforceConfig())
    assert given.changes.retired == ("a",)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    name: Any = None
    with pytest.raises(ConfigError, match="decision point None: use up to 64 letters"):
        Decider(name, ["a", "b"], lambda state, actions: "a", workspace=tmp_path)


@pytest.mark.parametrize("cost", [math.nan, math.inf, -1, "x", True])
def test_a_cost_that_is_none_is_refused(tmp_path, cost):
    decider = Decider("router", ["a", "b"], lambda state, actions: "a", workspace=tmp_path)
    with decider, pytest.raises(ConfigError, match="cost_per_call must be a number of dollars from 0, not"):
        decider.report_savings(cost)
