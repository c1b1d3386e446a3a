"""Approved proposals change settings within their bounds, and record their effect."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest

from aegis.config import AgentConfig, GateConfig, HRMConfig, TrainingConfig
from aegis.errors import ActionError
from aegis.research import SETTINGS, ApprovalQueue, RewardTable, Setting, SettingBook
from aegis.research.proposals import Proposal
from aegis.types import Action, Decision

CONFIGS = {"agent": AgentConfig, "training": TrainingConfig, "model": HRMConfig, "gate": GateConfig}


@pytest.fixture
def propose(store, database, clock):
    queue = ApprovalQueue(database)
    made = []

    def propose(aspect, old, new):
        decision = Decision("e", len(made), {}, ("a", "b"), Action("a"), None, "fake", decided_at=clock())
        made.append(decision)
        store.append(decision)
        return queue.propose(decision.id, Proposal(aspect, old, new, "a reason", 1.0), clock(), 600)

    return propose


NUMBERS = {name: setting for name, setting in SETTINGS.items() if isinstance(setting, Setting)}


@pytest.mark.parametrize("setting", NUMBERS.values(), ids=NUMBERS)
def test_every_setting_is_a_field_whose_default_and_bounds_are_valid(setting):
    if setting.kind == "reward":
        assert setting.allows(getattr(RewardTable(), setting.name.removeprefix("reward_")))
        return
    config = CONFIGS[setting.kind]
    assert setting.name in {field.name for field in fields(config)}
    assert setting.allows(getattr(config(), setting.name))
    for bound in (setting.low, setting.high):
        config(**{setting.name: bound})


def test_a_value_out_of_bounds_or_of_another_type_is_refused(database, clock):
    book = SettingBook(database)
    for name, value in (
        ("epochs", 1000),
        ("epochs", 2.5),
        ("epochs", True),
        ("threshold", 0.1),
        ("hits_per_search", "9"),
    ):
        with pytest.raises(ActionError, match=f"{name} must lie between"):
            book.change(name, value, 1, None, clock())
    with pytest.raises(ActionError, match="'__class__' is no setting"):
        book.change("__class__", 1, 1, None, clock())
    assert book.changes() == []


def test_an_approved_setting_of_the_agent_is_in_use_at_once(database, propose, clock):
    effect = ApprovalQueue(database).decide(propose("hits_per_search", 2, 4), True, clock())
    assert effect == "in use at once"
    assert SettingBook(database).agent_config(AgentConfig()).hits_per_search == 4
    ApprovalQueue(database).decide(propose("reward_idle", -0.1, -0.2), True, clock())
    assert SettingBook(database).reward_table() == RewardTable(idle=-0.2)


def test_a_rejected_proposal_changes_nothing(database, propose, clock):
    assert ApprovalQueue(database).decide(propose("hits_per_search", 2, 4), False, clock()) == "nothing is changed"
    assert SettingBook(database).changes() == []


def test_a_proposal_out_of_bounds_stays_pending(database, propose, clock):
    queue = ApprovalQueue(database)
    number = propose("hits_per_search", 2, 400)
    with pytest.raises(ActionError, match="hits_per_search must lie between 1 and 10"):
        queue.decide(number, True, clock())
    assert [one.id for one in queue.pending()] == [number]


def test_a_setting_of_the_training_waits_for_its_trial_and_is_kept_or_undone(database, propose, clock):
    queue, book = ApprovalQueue(database), SettingBook(database)
    for number, (keep, word) in enumerate(((False, "undone: worse"), (True, "kept: better"))):
        effect = queue.decide(propose("epochs", 20, 30), True, clock())
        assert effect == "tried at the next training, beside the value before it"
        assert book.values("training") == {}
        change = book.next_trial()
        assert change is not None
        assert (change.name, change.value, change.before, change.proposal) == ("epochs", 30, 20, number + 1)
        book.settle_trial(change, keep, word, clock())
        assert book.next_trial() is None
        assert book.values("training") == ({"epochs": 30} if keep else {})
        assert next(one for one in queue.decided() if one.id == number + 1).effect == word


def test_an_undone_change_leaves_what_an_earlier_one_has_changed(database, propose, clock):
    queue, book = ApprovalQueue(database), SettingBook(database)
    for new, keep in ((30, True), (45, False)):
        queue.decide(propose("epochs", 20 if keep else 30, new), True, clock())
        assert book.values("training") == ({} if keep else {"epochs": 30})  # the value that it is compared with
        trial = book.next_trial()
        assert trial is not None
        book.settle_trial(trial, keep, "a word", clock())
    assert book.values("training") == {"epochs": 30}
    assert book.next_trial() is None


@pytest.mark.parametrize("order", ["arxiv", "offline,arxiv,ddgs", "offline,offline", 3, "offline;arxiv"])
def test_an_order_of_providers_names_the_same_providers(database, propose, clock, order):
    queue, book = ApprovalQueue(database), SettingBook(database)
    with pytest.raises(ActionError, match="search_order must name what it named before, in another order"):
        queue.decide(propose("search_order", "arxiv,offline", order), True, clock())
    assert book.search_order() is None
    queue.lapse(clock.now + timedelta(days=1))
    assert queue.decide(propose("search_order", "arxiv,offline", "offline,arxiv"), True, clock()) == "in use at once"
    assert book.search_order() == "offline,arxiv"


def test_a_proposal_that_a_rule_decides_is_settled_at_once(database, propose, clock):
    queue = ApprovalQueue(database)
    for approve in (True, False):
        queue.decide(propose("hits_per_search", 2, 4), approve, clock(), by="rule")
    assert [row["settled"] for row in database.query("SELECT settled FROM proposals")] == [1, 1]


def test_a_proposal_that_a_rule_approves_brings_no_reward_of_its_own(database, propose, clock):
    queue = ApprovalQueue(database)
    queue.decide(propose("hits_per_search", 2, 4), True, clock(), by="rule")
    assert queue.unsettled() == []
    queue.decide(propose("questions_per_item", 1, 2), True, clock())
    assert [one.aspect for one in queue.unsettled()] == ["questions_per_item"]


def test_the_gate_and_the_rewards_need_a_person():
    assert {name for name, setting in SETTINGS.items() if setting.needs_a_person} == {
        "threshold",
        "reward_idle",
        "reward_nothing_found",
    }


def test_approved_rewards_go_on_top_of_the_configurations(database, propose, clock):
    config = AgentConfig(rewards={"idle": -0.4, "per_item": 3.0})
    assert SettingBook(database).reward_table(config) == RewardTable(idle=-0.4, per_item=3.0)
    ApprovalQueue(database).decide(propose("reward_idle", -0.4, -0.8), True, clock())
    assert SettingBook(database).reward_table(config) == RewardTable(idle=-0.8, per_item=3.0)
