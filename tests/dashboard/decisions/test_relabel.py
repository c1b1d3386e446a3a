"""A person's label joins the next training, and nothing else."""

from __future__ import annotations

import pytest

from aegis.dashboard.decisions.relabel import relabel
from aegis.errors import ActionError
from aegis.lifecycle import open_store, read_standing
from aegis.lifecycle.training.data import read_workspace_data
from aegis.serving.point import UnknownDecisionError
from aegis.store import LabelBook
from aegis.store.chain.check import verify
from aegis.types import utc_now
from tests.dashboard.conftest import add_decision


@pytest.fixture
def served(workspace):
    """Return a workspace in which an HRM decided twice, and the teacher was asked about the second decision."""
    with open_store(workspace) as store:
        for number in (10, 11):
            decision = add_decision(store, number, policy="hrm@1", state={"goal": f"by the HRM {number}"})
        LabelBook(store.database).append(decision, "gpt2", (0.1, 0.1, 0.8), "audit", utc_now())
    return workspace


def test_a_relabelled_decision_is_in_the_data_of_the_next_training(served, page):
    assert read_workspace_data(served).labelled == 1
    assert page.get("/api/decisions/decision-10").json["can_relabel"]
    done = page.post("/api/relabel", {"id": "decision-10", "action": "ask_human"})
    assert done.json["done"].startswith("relabelled to ask_human")
    data = read_workspace_data(served)
    learned = {decision.id: decision.action.name for decision in data.decisions}
    assert (data.labelled, learned["decision-10"], learned["decision-11"]) == (2, "ask_human", "idle")
    assert "episode" in data.chosen_episodes  # learned from, and no measure of accuracy
    shown = page.get("/api/decisions/decision-10").json
    assert (shown["action"], shown["other"]["action"], shown["other"]["reason"]) == (
        "web_search",
        "ask_human",
        "person",
    )
    with open_store(served) as store:
        assert verify(store.database).fault == ""


@pytest.mark.parametrize(
    ("id", "action", "error", "said"),
    [
        ("decision-1", "idle", ActionError, "gpt2 made this decision"),
        ("decision-11", "idle", ActionError, r"^gpt2 \(audit\) labelled it idle already, and the first label"),
        ("decision-10", "fly", ActionError, "was not on offer: choose one of web_search, ask_human, idle"),
        ("none", "idle", UnknownDecisionError, "no decision 'none'"),
    ],
)
def test_what_can_not_be_relabelled_is_refused_and_says_why(served, id, action, error, said):
    with pytest.raises(error, match=said):
        relabel(served, id, action)
    assert read_workspace_data(served).labelled == 1


def test_a_second_word_of_a_person_is_told_of_the_first_and_the_status_says_whose_the_labels_are(served):
    relabel(served, "decision-10", "ask_human")
    with pytest.raises(ActionError, match=r"^a person labelled it ask_human already, and the first label .* stays"):
        relabel(served, "decision-10", "idle")
    standing = read_standing(served)
    assert (standing.labelled, standing.labelled_by_person) == (2, 1)
