"""A version is judged by no decision that it learned from, and rewards that are missing by action are told."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aegis.config.plan import TrainingPlan
from aegis.errors import NotEnoughDataError
from aegis.experiments.drawn import Drawn, read_drawn
from aegis.experiments.learned import Imitated, Learned, read_learned
from aegis.experiments.off_policy import Rewarded
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry, keep_answers, write_answers
from aegis.store import ImprovementLog, LabelBook, TrainingLog
from aegis.types import Action, Decision, Outcome, utc_now
from aegis.workspace import Workspace

NAMES = ("refund", "answer")
FOREIGN = Imitated("hrm@1", "calls.jsonl", "2026-01-01T00:00:00+00:00", own=False)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def store(workspace):
    with open_store(workspace) as store:
        store.claim_teacher("rule", 0, "a test")
        yield store


def add(store, episodes, policy="hrm@1", reward=1.0):
    """Record two drawn decisions in each of these episodes."""
    made = []
    for episode in episodes:
        for step in range(2):
            action = Action(NAMES[step])
            one = Decision(f"e{episode}", step, {"n": episode}, NAMES, action, (0.5, 0.5), policy, propensity=0.5)
            store.append(one)
            store.record_outcome(Outcome(one.id, "ok", reward=reward))
            made.append(one)
    return made


def keep(heldout=()):
    """Return what writes a version with the episodes that judged it."""

    def save(name, folder):
        (folder / "weights").write_text(name)
        if heldout:
            write_answers(folder, keep_answers([(0.9, 0.1)] * len(heldout), [0] * len(heldout), heldout, NAMES))

    return save


def improve(store, registry, model=True, **results):
    """Record an update of hrm@1 as phase 4 does; return the version that it made."""
    name = registry.keep(keep(), {"source": "decisions of its own"}, "hrm@1") if model else None
    ImprovementLog(store.database).add("hrm@1", name, store.newest(), 0, 1, results, utc_now())
    return name


def read(store, workspace, version):
    return read_drawn(store.numbered_examples(), version, read_learned(store, workspace, version))


def episodes(found):
    return [int(one.decision.episode[1:]) for one in found.rewarded if one.decision.step == 0]


def test_a_version_of_phase_4_is_not_judged_by_what_it_or_those_before_it_learned_from(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(keep(), {"own": True})
    add(store, [0, 1])  # drawn before phase 4 began
    begun = store.newest()
    add(store, [2, 3])
    first = improve(store, registry, since=begun)
    add(store, [4], policy=first)
    improve(store, registry, model=False, fault="its loss is nan", since=begun)
    add(store, [5], policy=first)
    second = improve(store, registry, since=begun)
    add(store, [6, 7], policy=second)
    assert episodes(read(store, workspace, "hrm@1")) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert episodes(read(store, workspace, first)) == [0, 1, 4, 5, 6, 7]
    found = read(store, workspace, second)
    assert episodes(found) == [0, 1, 6, 7]
    words = f"left out: 8 decisions (8 by phase 4) that {second} learned from: there it looks better than it is"
    assert found.describe_left_out() == words


def test_an_update_that_did_not_record_its_span_leaves_out_all_before_it(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(keep(), {"own": True})
    add(store, [0, 1])
    name = improve(store, registry)
    add(store, [2])
    assert episodes(read(store, workspace, name)) == [2]
    simulated = registry.keep(keep(), {"improvement": {"from": "hrm@1"}}, "hrm@1")
    ImprovementLog(store.database).add("hrm@1", simulated, store.newest(), 0, 9, {"simulated": True}, utc_now())
    assert episodes(read(store, workspace, simulated)) == [
        0,
        1,
        2,
    ]  # it learned in other stores, and hrm@1 nothing here
    later = registry.keep(keep(), {"improvement": {"from": name}}, "hrm@1")
    assert episodes(read(store, workspace, later)) == [2]


def test_a_training_leaves_out_the_teachers_decisions_and_labels_but_not_those_held_out(store, workspace):
    made = add(store, [0, 1, 2], policy="rule")
    labelled = add(store, [3, 4], policy="hrm@9")
    book, now = LabelBook(store.database), utc_now()
    book.append(labelled[0], "rule", (1.0, 0.0), "audit", now)
    record = TrainingLog(store.database).begin(6, store.newest(), TrainingPlan(last_label=book.newest()), now)
    later = add(store, [5], policy="rule")
    book.append(labelled[2], "rule", (1.0, 0.0), "audit", utc_now())
    registry = ModelRegistry(store, workspace)
    registry.promote(keep(["e2"]), {"training": record.id})
    found = read(store, workspace, "hrm@1")
    assert found.by_imitation == 5
    assert {one.decision.id for one in found.rewarded} == {one.id for one in made[4:] + labelled[1:] + later}
    assert "(5 by its training) that hrm@1" in found.describe_left_out()
    name = registry.keep(keep(), {}, "hrm@1")
    assert "(5 by the training of its base hrm@1) that hrm@2" in read(store, workspace, name).describe_left_out()


def test_a_training_by_hand_is_told_by_its_time(store, workspace):
    add(store, [0], policy="rule")
    ModelRegistry(store, workspace).promote(keep(), {"source": str(workspace.folder)})
    add(store, [1], policy="rule")
    assert episodes(read(store, workspace, "hrm@1")) == [1]


def test_decisions_older_than_a_version_of_a_file_are_counted_with_a_warning(store, workspace):
    add(store, [0, 1])
    ModelRegistry(store, workspace).promote(keep(), {"source": "calls.jsonl", "own": False})
    add(store, [2])
    found = read(store, workspace, "hrm@1")
    assert (episodes(found), found.unknown, found.describe_left_out()) == ([0, 1, 2], 4, "")
    assert found.warnings() == [
        "4 decisions older than hrm@1, which learned from calls.jsonl: whether they are among those is not known here;"
        " if so, hrm@1 looks better than it is"
    ]


def test_nothing_left_to_judge_by_is_refused(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(keep(), {"own": True})
    add(store, [0, 1])
    name = improve(store, registry)
    with pytest.raises(NotEnoughDataError, match=r"hrm@2 learned from 4 decisions \(4 by phase 4\), and there is no"):
        read(store, workspace, name).check()
    read(store, workspace, "hrm@1").check()


def test_only_drawn_decisions_of_the_time_count(store):
    made = add(store, [0])
    for step, changes in enumerate(({"propensity": None}, {"probabilities": None, "propensity": None}), 2):
        one = replace(made[0], id=f"{step}" * 32, step=step, **changes)
        store.append(one)
        store.record_outcome(Outcome(one.id, "ok", reward=1.0))
    store.append(replace(made[0], id="f" * 32, step=4))
    found = read_drawn(store.numbered_examples(), "hrm@1", Learned(FOREIGN))
    assert [one.decision.step for one in found.rewarded] == [0, 1]
    assert [one.step for one in found.unrewarded] == [4]
    later = read_drawn(store.numbered_examples(), "hrm@1", Learned(FOREIGN), datetime.now(UTC) + timedelta(days=1))
    assert not later.rewarded
    assert not later.unrewarded


def test_rewards_that_lack_by_action_are_warned_of():
    rng = random.Random(1)
    found = Drawn("hrm@1", Learned(FOREIGN))
    for number in range(300):
        one = Decision(f"e{number // 10}", number % 10, {}, NAMES, Action(NAMES[number % 2]), (0.5, 0.5), "hrm@0")
        if number % 2 and rng.random() < 0.5:
            found.unrewarded.append(one)
        else:
            found.rewarded.append(Rewarded(one, 1.0))
    known = sum(one.decision.action.name == "answer" for one in found.rewarded)
    assert found.warnings() == [
        f"a reward is known of {known / 150:.0%} of the drawn decisions that took answer, and of 100% of those that"
        " took refund: where it is missing because of what it was, these figures are wrong"
    ]
    assert found.to_record()["known_rewards"] == {"refund": [150, 150], "answer": [known, 150]}
    evenly = Drawn("hrm@1", Learned(FOREIGN), found.rewarded[::2], [one.decision for one in found.rewarded[1::2]])
    assert evenly.warnings() == []
