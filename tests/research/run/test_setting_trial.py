"""Approved settings are put in use while the agent runs, or tried at the next training, and undone where they fail."""

from __future__ import annotations

import pytest

from aegis.config import AgentConfig, HRMConfig, TrainingConfig
from aegis.config.plan import SettingTrial, TrainingPlan
from aegis.lifecycle import carry_out_training, open_store
from aegis.research import ApprovalQueue, RewardTable, SettingBook
from aegis.research.proposals import Proposal
from aegis.research.run import make_agent
from aegis.research.run.setting_trial import SettingSupervisor, settle_trial
from aegis.research.search import SearchChain
from aegis.store import TrainingLog
from aegis.types import utc_now

TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


@pytest.fixture
def propose(workspace, fill):
    decisions = iter(fill(150))

    def propose(aspect, old, new, approve=False):
        with open_store(workspace) as store:
            queue = ApprovalQueue(store.database)
            proposal = Proposal(aspect, old, new, "a reason", 1.0)
            number = queue.propose(next(decisions).id, proposal, utc_now(), 600)
            if approve:
                assert number is not None
                queue.decide(number, True, utc_now())
            return number

    return propose


@pytest.mark.parametrize(
    ("approve", "approved", "pending"),
    [("ask", [], 3), ("never", [], 0), ("bounded", ["hits_per_search"], 2)],
)
def test_proposals_are_approved_rejected_or_left_as_the_setting_says(workspace, propose, approve, approved, pending):
    propose("hits_per_search", 2, 4)
    propose("threshold", 0.7, 0.66)
    propose("questions_per_item", 1, 99)
    told = []
    with open_store(workspace) as store:
        settings = SettingSupervisor(store.database, AgentConfig(), approve)
        settings.decide_by_rule(lambda kind, text, fields: told.append(fields))
        queue = ApprovalQueue(store.database)
        assert [one.aspect for one in queue.decided()] == approved
        assert len(queue.pending()) == pending
        assert queue.unsettled() == []
        assert settings.take_change() == bool(approved)
        assert settings.in_use.agent.hits_per_search == (4 if approved else 2)
        assert not settings.take_change()
    assert len(told) == 3 - pending


def test_a_change_by_a_person_reaches_the_agent_that_runs(workspace, make_runner, propose):
    events = []

    def approve_at_the_fifth(event):
        events.append(event)
        if len(events) == 6:
            propose("reward_idle", -0.1, -0.2, approve=True)

    make_runner(max_decisions=20, notify=approve_at_the_fifth).run()
    (place,) = [place for place, event in enumerate(events) if event.kind == "setting"]
    later = [event.fields for event in events[place:] if event.kind == "decided"]
    assert later[0]["step"] == 0
    assert {one["reward"] for one in later if one["action"] == "idle"} <= {RewardTable(idle=-0.2).idle}


def test_every_agent_made_in_the_workspace_has_its_settings(workspace, propose, make_search, teacher):
    propose("hits_per_search", 2, 4, approve=True)
    with open_store(workspace) as store:
        assert make_agent(store, teacher, make_search(), seed=0).config.hits_per_search == 4
        config = AgentConfig(episode_length=7)
        assert make_agent(store, teacher, make_search(), seed=0, config=config).config.episode_length == 7


def test_a_training_uses_the_kept_changes_and_tries_one_change_at_a_time(workspace, propose):
    propose("threshold", 0.7, 0.75, approve=True)
    propose("epochs", 20, 30, approve=True)
    propose("low_cycles", 2, 3, approve=True)
    with open_store(workspace) as store:
        found = SettingSupervisor(store.database, AgentConfig(), "ask").apply_to(TrainingPlan())
    assert found.trial == SettingTrial("epochs", 30)
    assert (found.training.epochs, found.model.low_cycles, found.gate.threshold) == (20, 2, 0.75)


@pytest.mark.parametrize(
    ("usual_epochs", "tried_epochs", "word"), [(6, 1, "undone"), (1, 6, "kept")], ids=["worse", "better"]
)
def test_a_change_is_judged_on_the_same_held_out_decisions(workspace, propose, usual_epochs, tried_epochs, word):
    propose("epochs", usual_epochs, tried_epochs, approve=True)
    usual = TrainingPlan(TrainingConfig(epochs=usual_epochs, learning_rate=3e-3), model=TINY)
    with open_store(workspace) as store:
        plan = SettingSupervisor(store.database, AgentConfig(), "ask").apply_to(usual)
        TrainingLog(store.database).begin(150, store.newest(), plan, utc_now())
    ended = carry_out_training(workspace, settle=settle_trial)
    assert ended.status == "switched"
    assert len(ended.report["epochs"]) == max(usual_epochs, tried_epochs)
    with open_store(workspace) as store:
        (queued,) = ApprovalQueue(store.database).decided()
        kept = SettingBook(store.database).values("training")
        log = TrainingLog(store.database)
        assert len(log.epochs(ended.id, trial="trial")) == tried_epochs
        assert len(log.epochs(ended.id)) == usual_epochs
    assert queued.effect.startswith(f"{word}: ")
    assert "on the same held-out decisions" in queued.effect
    assert kept == ({"epochs": 6} if word == "kept" else {})


def test_an_approved_order_of_providers_holds_for_the_running_agent_and_for_later_agents(
    workspace, propose, make_runner, fake_search
):
    events, made = [], []

    def make_search():
        made.append(SearchChain([("other", fake_search()), ("fake", fake_search())]))
        return made[-1]

    def approve_at_the_fifth(event):
        events.append(event)
        if len(events) == 6:
            propose("search_order", "other,fake", "fake,other", approve=True)

    make_runner(max_decisions=20, notify=approve_at_the_fifth, make_search=make_search).run()
    assert [event.kind for event in events].count("setting") == 1
    make_runner(max_decisions=1, make_search=make_search).run()
    assert [search.name for search in made] == ["fake,other"] * 2


def test_a_rule_may_approve_an_order_of_the_same_providers_only(workspace, propose):
    propose("search_order", "arxiv,offline", "offline,arxiv,ddgs")
    with open_store(workspace) as store:
        settings = SettingSupervisor(store.database, AgentConfig(), "bounded")
        settings.decide_by_rule(lambda kind, text, fields: None)
        (waiting,) = ApprovalQueue(store.database).pending()
        ApprovalQueue(store.database).decide(waiting.id, False, utc_now())
    propose("search_order", "arxiv,offline", "offline,arxiv")
    with open_store(workspace) as store:
        settings = SettingSupervisor(store.database, AgentConfig(), "bounded")
        settings.decide_by_rule(lambda kind, text, fields: None)
        assert settings.take_change()
        assert settings.in_use.search_order == "offline,arxiv"
