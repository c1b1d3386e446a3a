"""What could be the HRM's: counted on decisions that chose nothing, live ones where there are enough."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from aegis.door.savings import LEAST_LIVE, describe_savings, read_savings
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry, keep_answers, write_answers
from aegis.store import LabelBook, StateKey
from aegis.types import Action, Decision, utc_now
from aegis.workspace import Workspace

ACTIONS = ("refund", "answer")


def answer(rng, sure, right=0.97):
    """Return an HRM's probabilities, sure or not, and the teacher's action, which is the same in a share of them."""
    place = rng.randrange(2)
    row = [0.01, 0.01] if sure else [0.4, 0.4]
    row[place] = 1 - row[0]
    return row, place if rng.random() < (right if sure else 0.6) else 1 - place


@pytest.fixture
def point(tmp_path):
    """A point with an HRM that is sure in six of ten decisions, and right in 97% of those."""
    rng, workspace = random.Random(1), Workspace(tmp_path)
    found = [answer(rng, n % 10 < 6) for n in range(400)]
    kept = keep_answers(
        [row for row, _ in found], [taken for _, taken in found], [f"e{n}" for n in range(400)], ACTIONS
    )

    def save(name, folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_answers(folder, kept)

    with open_store(workspace) as store:
        store.claim_teacher("route", 0, "a test")
        ModelRegistry(store, workspace).promote(save)
        yield store, workspace


def test_an_hrm_that_decides_everything_is_not_told_what_could_be_its(point):
    store, workspace = point
    store.state.keep(StateKey.ACTIONS, {"actions": [*ACTIONS]})
    version = ModelRegistry(store, workspace).serving().name
    for number in range(3):
        store.append(Decision(f"own-{number}", 0, {"n": number}, ACTIONS, Action(ACTIONS[0]), None, version))
    told = describe_savings(workspace)
    assert told.startswith("hrm@1 decides everything: HRMs made 3 calls; with the mode assist, ")
    assert told.endswith("% at a certified agreement of 95%")
    for mode in ("assist", "observe"):
        store.state.keep(StateKey.AGENT, {"mode": mode})
        assert "of these decisions could be the HRM's" in describe_savings(workspace)


def test_the_held_out_answers_of_its_base_certify_nothing_for_a_version_that_rewards_improved(point):
    store, workspace = point
    store.state.keep(StateKey.ACTIONS, {"actions": [*ACTIONS]})
    registry = ModelRegistry(store, workspace)

    def save(name, folder):
        (folder / "base.json").write_text('{"base": "hrm@1"}')

    registry.advance(registry.keep(save, {}, "hrm@1"))
    assert "certified" not in (told := describe_savings(workspace))
    assert told == "hrm@2 decides everything: HRMs made 0 calls"
    live(store, 200, dollars=0.02)
    for number in range(3):
        store.append(Decision(f"own-{number}", 0, {"n": number}, ACTIONS, Action(ACTIONS[0]), None, "hrm@2"))
    savings = read(point)
    assert (savings.share, savings.lower, savings.base, savings.calls) == (None, None, "hrm@1", 3)
    assert savings.dollars == pytest.approx(0.06)
    assert str(savings) == (
        "hrm@2 was improved from hrm@1 by rewards, and no held-out decision certifies its agreement: it made 3 calls"
    )


def test_the_promise_of_the_version_that_serves_is_the_one_that_is_told(tmp_path):
    rng, workspace = random.Random(1), Workspace(tmp_path)
    found = [answer(rng, n % 10 < 6, 0.9) for n in range(400)]
    kept = keep_answers([row for row, _ in found], [one for _, one in found], [f"e{n}" for n in range(400)], ACTIONS)

    def save(name, folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_answers(folder, kept)

    with open_store(workspace) as store:
        store.claim_teacher("route", 0, "a test")
        store.state.keep(StateKey.ACTIONS, {"actions": [*ACTIONS]})
        ModelRegistry(store, workspace).promote(save, {"promised": 0.8})
    assert "(certified: at least 80%)" in describe_savings(workspace)


def read(point, **given) -> Any:
    return read_savings(*point, **given)


def live(store, count, dollars=None, right=0.97, policy="route"):
    rng = random.Random(2)
    for number in range(count):
        row, taken = answer(rng, number % 10 < 6, right)
        decision = Decision(f"{policy}-{number}", 0, {"n": number}, ACTIONS, Action(ACTIONS[taken]), None, policy)
        store.append(decision)
        if dollars is not None:
            store.record_cost(decision.id, dollars)
        LabelBook(store.database).append(decision, "hrm@1", row, "shadow", utc_now())


def test_before_an_hrm_serves_it_says_how_many_decisions_there_are(tmp_path):
    with open_store(Workspace(tmp_path)) as store:
        savings = read_savings(store, Workspace(tmp_path))
    assert (savings.hrm, savings.share, savings.dollars) == (None, None, None)
    assert str(savings) == "no HRM has passed the gate yet: 0 decisions recorded"


def test_after_a_roll_back_it_says_which_version_was_taken_back(tmp_path):
    with open_store(Workspace(tmp_path)) as store:
        registry = ModelRegistry(store, Workspace(tmp_path))
        registry.promote(lambda name, folder: None)
        registry.roll_back(None, "ada", "odd answers")
        savings = read_savings(store, Workspace(tmp_path))
    assert (savings.hrm, savings.former) == (None, "hrm@1")
    assert str(savings).startswith("no HRM serves since hrm@1 was taken back: 0 decisions recorded")


def test_at_first_the_held_out_decisions_certify_and_count(point):
    savings = read(point)
    assert (savings.hrm, savings.live, savings.calls, savings.dollars) == ("hrm@1", False, 0, None)
    assert (savings.decisions, savings.share, savings.lower) == (400, 0.6, 0.95)
    assert savings.agreement > 0.95
    assert str(savings).endswith("0 calls so far; by 400 held-out decisions")


def test_a_missed_audit_shows_beside_held_out_decisions_and_a_share_is_never_rounded_to_all(point):
    store, _ = point
    live(store, 60, right=0.93)
    missed = read(point)
    assert (missed.live, 0 < missed.agreed < missed.beside <= 60) == (False, True)
    told = f"and beside its teacher it agreed {missed.agreed} of {missed.beside} times"
    assert str(missed).endswith(f"by 400 held-out decisions, {told}")
    nearly, all_of_them = (str(replace(missed, agreement=agreement)) for agreement in (0.9996, 1.0))
    assert "at 99.9% agreement" in nearly
    assert "at 100% agreement" in all_of_them


def test_live_answers_count_as_soon_as_there_are_enough_with_what_they_cost(point):
    store, _ = point
    live(store, LEAST_LIVE - 1, dollars=0.01)
    assert not read(point).live
    live(store, 401, dollars=0.01, policy="route too")
    savings = read(point)
    assert (savings.live, savings.decisions) == (True, 500)
    assert savings.share == pytest.approx(0.602)
    assert savings.calls == 301
    assert savings.dollars == pytest.approx(3.01)
    assert 0.94 < savings.agreement < 1
    assert savings.lower == 0.95
    assert 0.6 < savings.confidence < 1
    assert str(savings) == (
        f"60% of these decisions could be the HRM's at {savings.agreement:.0%} agreement"
        " (certified: at least 95%): 301 calls, $3.01 so far"
    )


def test_without_a_price_there_are_no_dollars_and_a_price_given_later_counts(point):
    store, workspace = point
    live(store, 200)
    assert read_savings(store, workspace).dollars is None
    assert "$" not in str(read_savings(store, workspace))
    assert read((store, workspace), cost_per_call=0.5).dollars == pytest.approx(60)


def test_calls_that_the_hrm_made_itself_are_counted_at_the_teachers_mean_price(point):
    store, workspace = point
    live(store, 100, dollars=0.02)
    for number in range(50):
        store.append(Decision(f"own-{number}", 0, {}, ACTIONS, Action("refund"), None, "hrm@1"))
    savings = read((store, workspace))
    assert (savings.calls, savings.made) == (110, 50)
    assert savings.dollars == pytest.approx(110 * 0.02)
    assert str(savings).endswith("so far; it made 50 of them")


def test_after_a_live_drop_nothing_is_certified_whatever_held_out_decisions_promised(point):
    store, workspace = point
    live(store, 300, right=0.7)
    savings = read((store, workspace))
    assert (savings.share, savings.confidence, savings.calls) == (None, None, 0)


def test_silent_answers_certify_what_few_held_out_decisions_could_not(point):
    store, workspace = point
    assert read((store, workspace), target=0.975).share is None
    live(store, 1500, right=0.995)
    assert read((store, workspace), target=0.975).share == pytest.approx(0.6)


def test_an_hrm_that_promises_nothing_says_why(point):
    savings = read(point, target=0.999)
    assert (savings.share, savings.agreement, savings.calls) == (None, None, 0)
    assert str(savings) == (
        "hrm@1 can take over nothing at 99.9% agreement yet: its held-out decisions are too few to certify that, or it"
        ' agrees with the teacher less often, even where it is surest (more decisions, `student = "mixed"` or'
        " a lower agreement can help)"
    )
    unseen, seldom = replace(savings, decisions=0), replace(savings, confidence=0.9, decisions=200)
    assert str(unseen) == "hrm@1 has too few held-out decisions to tell what it could take over"
    assert str(seldom).endswith("it is sure enough in none of 200 decisions")
