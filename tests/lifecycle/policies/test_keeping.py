"""What phase 4 may not unlearn stays taken, in the states it is kept in, and nothing is learned from it."""

from __future__ import annotations

import random

import pytest

from aegis.config import KEPT, KeptAction, ReinforceConfig
from aegis.errors import ConfigError
from aegis.lifecycle.policies.keeping import keeping
from aegis.lifecycle.policies.tempered import SamplingPolicy, temper
from aegis.research import RESEARCH_ACTIONS
from aegis.types import Choice

HERE, AWAY = {"human": "here"}, {"human": "away"}
ASKS, SEARCHES = (0.3, 0.5, 0.1, 0.1), (0.6, 0.2, 0.1, 0.1)
KEEP = (KeptAction.parse(KEPT),)


class Fixed:
    """A policy that answers every state alike, and counts the states that it was asked about."""

    parameters = 0

    def __init__(self, name, row):
        self.name, self.row, self.asked = name, row, 0

    def decide(self, states, actions):
        self.asked += len(states)
        return [Choice.best(self.row, actions, self.name, "hrm") for _ in states]


def decide(policy, *states):
    return policy.decide(list(states), RESEARCH_ACTIONS)


def test_an_action_is_kept_in_its_states_where_the_base_takes_it_and_the_base_is_asked_there_alone():
    base, improved = Fixed("hrm@1", ASKS), Fixed("hrm@2", SEARCHES)
    made = decide(keeping(improved, base, KEEP), HERE, AWAY, {}, HERE)
    assert [one.action for one in made] == ["ask_human", "web_search", "web_search", "ask_human"]
    assert {one.policy for one in made} == {"hrm@2"}
    assert base.asked == 2


def test_what_the_base_does_not_take_the_improved_version_decides():
    made = decide(keeping(Fixed("hrm@2", ASKS), Fixed("hrm@1", SEARCHES), KEEP), HERE)
    assert [(one.action, one.probabilities) for one in made] == [("ask_human", ASKS)]


def test_a_kept_action_is_not_drawn_and_its_probabilities_are_as_sharp_as_the_drawn_ones():
    improved = SamplingPolicy(Fixed("hrm@2", SEARCHES), 0.5, random.Random(0))
    kept, drawn = decide(keeping(improved, Fixed("hrm@1", ASKS), KEEP, 0.5), HERE, AWAY)
    assert (kept.drawn, drawn.drawn) == (False, True)
    assert kept.probabilities == pytest.approx(temper(ASKS, 0.5))


def test_with_nothing_to_keep_a_version_decides_alone():
    improved = Fixed("hrm@2", SEARCHES)
    assert keeping(improved, Fixed("hrm@1", ASKS), ()) is improved


@pytest.mark.parametrize(
    ("text", "state", "holds"),
    [
        ("escalate", {}, True),
        ("escalate where customer.tier=gold", {"customer": {"tier": "gold"}}, True),
        ("escalate where customer.tier=gold", {"customer": {"tier": "tin"}}, False),
        ("escalate where customer.tier=gold", {"customer": "gold"}, False),
        ("escalate where vip=true", {"vip": True}, True),
        ("escalate where open=3", {"open": 3}, True),
        ("escalate where open=3", {"open": 4}, False),
        ("escalate where why=a = b", {"why": "a = b"}, True),
    ],
)
def test_a_condition_is_of_one_field_as_text_or_as_json(text, state, holds):
    assert KeptAction.parse(text).holds_in(state) is holds


@pytest.mark.parametrize(
    "text", ["", " where a=b", "two words", "escalate where", "escalate where tier", "x where =gold"]
)
def test_what_is_out_of_form_is_refused_and_named(text):
    with pytest.raises(ConfigError, match="ACTION where FIELD=VALUE"):
        ReinforceConfig(keep=(text,))


def test_a_text_in_place_of_the_list_is_refused():
    with pytest.raises(ConfigError, match="list of actions"):
        ReinforceConfig(keep=KEPT)  # type: ignore[arg-type]
