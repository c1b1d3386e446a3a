"""Held-out answers stand beside their decisions, and two versions are compared on those that judged both."""

from __future__ import annotations

from functools import partial

import pytest

from aegis.dashboard.decisions.heldout import compare_versions
from aegis.dashboard.learning import read_learning
from aegis.errors import DataError
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry, keep_answers, write_answers
from tests.dashboard.conftest import NAMES, add_decision

RIGHT, WRONG = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1)


def _keep(answers, name, folder):
    write_answers(folder, answers)


@pytest.fixture
def judged(workspace):
    """Return a workspace with two versions: hrm@1 errs in the decisions 12 and 13, hrm@2 in 13 and was not asked 10."""
    with open_store(workspace) as store:
        for number in range(10, 14):
            add_decision(store, number, state={"goal": f"held out {number}"}, **{"actions": NAMES})
        for first, wrong in ((0, (12, 13)), (0, (13,))):
            rows = [WRONG if number in wrong else RIGHT for number in range(first, 14)]
            answers = keep_answers(rows, [0] * len(rows), ["episode"] * len(rows), NAMES)
            registry = ModelRegistry(store, workspace)
            save = partial(_keep, answers)
            registry.promote(save)
    return workspace


def test_two_versions_are_compared_on_what_was_held_out_from_both(judged):
    found = compare_versions(judged, "hrm@1", "hrm@2")
    assert (found["common"], found["agreements"]) == (14, {"one": 12, "other": 13})
    assert (found["differing"], found["only_one"], found["only_other"]) == (1, 0, 1)
    (example,) = found["examples"]
    assert (example["id"], example["teacher"]) == ("decision-12", "web_search")
    assert example["one"] == {"action": "ask_human", "share": 0.8, "right": False}


def test_a_confusion_has_the_decisions_where_the_hrm_was_surest(judged):
    confusion = read_learning(judged)["confusion"]
    assert confusion is not None
    (pair,) = confusion["pairs"]
    assert (pair["teacher"], pair["hrm"], pair["count"]) == ("web_search", "ask_human", 1)
    assert [one["id"] for one in pair["examples"]] == ["decision-13"]


def test_an_episode_whose_answers_do_not_match_its_decisions_is_left_out(judged):
    with open_store(judged) as store:
        add_decision(store, 14)
    assert compare_versions(judged, "hrm@1", "hrm@2")["common"] == 0


@pytest.mark.parametrize("name", ["hrm@9", "", "..", "../models/hrm@1"])
def test_a_version_that_is_not_kept_is_refused(judged, page, name):
    with pytest.raises(DataError, match="no version"):
        compare_versions(judged, "hrm@1", name)
    assert page.get(f"/api/compare?one=hrm@1&other={name}").status == 400
