"""One decision: what the HRM read of its state, and the decisions in training that are most like it."""

from __future__ import annotations

import json

from aegis.config.plan import TrainingPlan
from aegis.dashboard.decisions.likeness import read_like
from aegis.dashboard.decisions.reading import read_as_model
from aegis.hrm import StateCodec
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry
from aegis.store import TrainingLog
from aegis.types import utc_now
from tests.dashboard.conftest import add_decision


def test_what_an_hrm_read_is_shown_with_what_was_cut_and_left_out(workspace, page):
    assert read_as_model(workspace, "decision-1") is None
    codec = StateCodec(max_tokens=24, exclude=("secret",), rename={"t": "ticket"})

    def write(name, folder):
        (folder / "policy.json").write_text(json.dumps({"codec": codec.to_document()}))

    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(write)
        add_decision(store, 10, policy="hrm@1", state={"t": "broken phone " * 30, "secret": "hidden", "short": "kept"})
    read = page.get("/api/decisions/decision-10/read").json
    assert (read["model"], read["decided"], read["kept"], read["left_out"]) == ("hrm@1", True, 24, ["secret"])
    assert (read["renamed"], read["tokens"] > 60) == ({"t": "ticket"}, True)
    assert "…" in read["text"]
    assert "kept" in read["text"]
    assert "hidden" not in read["text"]
    assert not read["whole_beside"]
    assert not page.get("/api/decisions/decision-1/read").json["decided"]
    assert page.get("/api/decisions/none/read").status == 404


def test_of_both_together_it_is_said_that_only_the_hrm_reads_a_state_cut(workspace, page):
    def write(name, folder):
        (folder / "policy.json").write_text(json.dumps({"codec": StateCodec(max_tokens=24).to_document()}))

    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(write, kind="mixed")
        add_decision(store, 10, policy="mixed@1", state={"t": "broken phone " * 30})
    read = page.get("/api/decisions/decision-10/read").json
    assert (read["model"], read["kept"], read["whole_beside"]) == ("mixed@1", 24, True)


def test_the_most_alike_decisions_in_training_are_the_teachers_before_it(workspace, page):
    assert page.get("/api/decisions/decision-1/like").json == {"compared": 0, "decisions": []}
    with open_store(workspace) as store:
        add_decision(store, 10, state={"goal": "the phone screen is broken again"})
        add_decision(store, 11, policy="hrm@1", state={"goal": "the phone screen is broken"})
        TrainingLog(store.database).begin(11, store.newest(), TrainingPlan(), utc_now())
        add_decision(store, 12, state={"goal": "the phone screen is broken"})
    found = read_like(workspace, "decision-11")
    assert found["compared"] == 11
    assert found["decisions"][0]["id"] == "decision-10"
    assert 0.5 < found["decisions"][0]["resemblance"] < 1
    assert page.get("/api/decisions/none/like").status == 404
