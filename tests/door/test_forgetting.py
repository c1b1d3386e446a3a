"""`aegis forget` on a whole workspace: memory, models, logs, datasets; and what it can't reach is named."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.dashboard.decisions.search import open_index
from aegis.door.forgetting import forget
from aegis.door.traces import find_traces
from aegis.errors import StoreError
from aegis.lifecycle import lock, open_store
from aegis.lifecycle.serving.drift import DriftMonitor
from aegis.promotion import AgreementMonitor, ModelRegistry
from aegis.promotion.judging.answers import keep_answers, read_answers, write_answers
from aegis.promotion.weights import check_files
from aegis.store import StateKey
from aegis.store.chain.erasure import Wanted, erase
from aegis.store.deferral import note_deferral
from aegis.store.engine.sqlite import empty_file
from aegis.types import Action, Choice, Decision, Outcome, utc_now
from aegis.workspace import Workspace

PERSON = "Zoë Quagmire"


@pytest.fixture
def place(tmp_path):
    """A workspace with two decisions of a person, one of somebody else, an HRM, a memory and files made of them."""
    place = Workspace(tmp_path / "workspace")
    at = utc_now().isoformat()
    with open_store(place) as store:
        for n, who in enumerate((PERSON, "Bob", PERSON)):
            decision = Decision(f"of {who}", n, {"who": who}, ("a", "b"), Action("a"), None, "rule", id=f"d{n}")
            store.append(decision)
            why = Choice((0.5, 0.5), "a", "rule", "teacher", out_of_distribution=True, deferred="unsure")
            note_deferral(store.database, decision.id, why)
            store.record_outcome(Outcome(decision.id, "ok", reward=0.5, result={"mail": who}))
        with store.database.transaction() as connection:
            connection.execute(
                "INSERT INTO trainings (status, decisions, last_seq, settings, started_at, ended_at)"
                " VALUES ('switched', 3, 3, '{}', ?, ?)",
                (at, at),
            )
            connection.execute(
                "INSERT INTO knowledge (id, topic, title, text, source, found_at) VALUES ('k', 't', ?, ?, 's', ?)",
                (f"About {PERSON}", f"{PERSON} moved", at),
            )

        def save(name, folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "model.safetensors").write_bytes(b"weights")
            rows = [[0.5, 0.5]] * 3
            write_answers(folder, keep_answers(rows, [0, 1, 0], [f"of {PERSON}", "of Bob", f"of {PERSON}"], "ab"))

        ModelRegistry(store, place).promote(save, {"training": 1}, reason="passed")
        with open_index(place, store) as index:
            index.extend()
    for name in (
        "datasets/1/document.json",
        "checkpoints/1/training.json",
        "logs/training.log",
        "models/hrm@1/onnx/check.json",
        "search-cache.db",
        "set-aside/1/aegis.db",
    ):
        path = place.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"a line\n{json.dumps(PERSON)}\n", encoding="utf-8")
    return place


def run(place, *words, code=0, answer=None):
    result = CliRunner().invoke(app, ["forget", "--workspace", str(place.folder), *words], input=answer)
    assert result.exit_code == code, result.output
    return result.output


def test_an_erased_person_stands_in_no_file_of_the_workspace(place):
    assert len(list(find_traces(place.folder, PERSON))) >= 6
    shown = run(place, "--text", PERSON, "--yes")
    assert list(find_traces(place.folder, PERSON)) == []
    assert list(find_traces(place.folder, "quagmire")) == [], "the index of words forgets it, too"
    assert (place.logs / "training.log").read_text() == "a line\n"
    assert "2 decisions" in shown
    assert "1 row of the agent's knowledge" in shown
    assert "Their weights may still hold what they learned: hrm@1" in shown
    assert "hrm@1 is replaced" in shown
    verified = CliRunner().invoke(app, ["verify", "--workspace", str(place.folder)])
    assert verified.exit_code == 0, verified.output
    assert "4 rows erased" in verified.output
    assert "1 HRM with the files that were judged" in verified.output
    with open_store(place) as store:
        assert store.database.query("SELECT COUNT(*) AS left FROM deferrals")[0]["left"] == 1


def test_what_an_open_dashboard_reads_into_its_index_meanwhile_is_forgotten_too(place, monkeypatch):
    def erase_late(database, doomed):
        monkeypatch.undo()
        while open_there.step():
            pass
        return erase(database, doomed)

    with open_store(place) as store, open_index(place, store) as open_there:
        empty_file(place.state_index)
        assert b"quagmire" not in place.state_index.read_bytes()
        monkeypatch.setattr("aegis.door.forgetting.erase", erase_late)
        forget(place, Wanted(text=PERSON))
        assert list(find_traces(place.folder, "quagmire")) == []
        while open_there.step():
            pass
        assert open_there.find("bob", 4, 0, 9) == [2]
        assert open_there.find("quagmire", 4, 0, 9) == []


def test_the_model_is_still_the_one_that_was_judged(place):
    run(place, "--where", f"who={PERSON}", "--yes", code=3)
    with open_store(place) as store:
        assert check_files(store, place.models / "hrm@1")
    assert read_answers(place.models / "hrm@1").episodes == ("erased-0", "of Bob", "erased-0")


def test_a_field_leaves_other_rows_and_says_where_the_text_still_stands(place):
    shown = run(place, "--where", f"who={PERSON}", "--yes", code=3)
    assert "the text still stands in aegis.db (1 row of knowledge)" in shown
    assert "`aegis forget --text` erases each row" in shown


def test_nothing_is_erased_before_a_person_agrees(place):
    shown = run(place, "--where", "who=Bob", answer="n\n", code=1)
    assert "1 decision with outcomes" in shown
    assert "Nothing was erased" in shown
    with open_store(place) as store:
        assert store.count() == 3
    assert "1 decisions" in run(place, "--where", "who=Bob", answer="y\n")
    assert "Nothing is recorded that fits" in run(place, "--where", "who=Bob")
    shown = run(place, "--where", "who=Bob", "--yes")
    assert "Nothing is recorded that fits" in shown
    assert "erased:" not in shown
    assert "write FIELD=VALUE" in run(place, "--where", "who", code=2)
    assert "say what to forget" in run(place, code=2)


def test_a_run_that_was_killed_before_it_cleaned_the_pages_is_finished_by_the_next_one(place, monkeypatch):
    def die(*given):
        raise KeyboardInterrupt

    with open_store(place) as reader:  # it keeps the log from being emptied when the others close
        with monkeypatch.context() as patch:
            patch.setattr("aegis.store.chain.erasure._clean", die)
            with pytest.raises(KeyboardInterrupt):
                forget(place, Wanted(text=PERSON))
        assert reader.count() == 1
    (place.logs / "training.log").write_text(f"{PERSON}\n", encoding="utf-8")
    assert "yet the text stands in 1 file: logs/training.log" in run(place, "--text", PERSON, answer="y\n")
    assert list(find_traces(place.folder, PERSON)) == []


def test_without_a_point_the_workspace_and_all_its_points_are_looked_through(place):
    point = place.point("router")
    with open_store(point) as store:
        store.append(Decision("e", 0, {"user": {"who": PERSON}}, ("a", "b"), Action("a"), None, "rule", id="p0"))
    shown = run(place, "--text", PERSON, "--yes")
    assert f"{place.folder}/points/router/: erased: 1 decisions" in shown
    assert "still stands" not in shown
    assert list(find_traces(place.folder, PERSON)) == []


def test_a_running_agent_is_to_be_stopped_first(place, monkeypatch):
    monkeypatch.setattr(lock, "_WAIT_SECONDS", 0.1)
    with lock.hold(place.agent_lock, "an agent"), pytest.raises(StoreError, match="an agent is running"):
        forget(place, Wanted(decision="d0"))


def test_before_anything_is_looked_for_it_is_said_what_to_stop_and_where_it_works(place):
    point = place.point("router")
    with open_store(point) as store:
        store.state.keep(StateKey.AGENT, {"pid": 4711})
    with lock.hold(point.agent_lock, "an agent"):
        said = run(place, "--text", PERSON, code=2, answer="y\n")
    assert said == (
        f"error: `aegis serve`, an agent or a `Decider` (process 4711) works on {point.folder}: stop it (Ctrl-C there),"
        " forget, then start it again; nothing was erased\n"
    )
    with open_store(place) as store:
        assert store.count() == 3


def test_a_field_is_found_in_a_text_that_holds_json_and_the_fields_are_named_where_none_fits(place):
    said = {"customer": {"email": "a@example.org", "orders": 3}}
    point = place.point("router")
    with open_store(point) as store:
        for n, text in enumerate((json.dumps(said), "a word", '{"cut": "here')):
            state = {"system": "You route.", "user": text}
            store.append(Decision(f"e{n}", 0, state, ("a", "b"), Action("a"), None, "rule", id=f"p{n}"))
        state = {"system": "You route.", "user": json.dumps(said)}
        store.append(Decision("e9", 0, state, ("a", "b"), Action("a"), None, "rule", id="p9"))
    for where in ("customer.email=a@example.org", "user.customer.email=a@example.org", "user.customer.orders=3"):
        assert "router/: 2 decisions with" in run(place, "--where", where, answer="n\n", code=1)
    missed = run(place, "--where", "email=a@example.org", "--yes", code=3)
    assert "router/: system, user.customer.email, user.customer.orders\n" in missed
    assert "yet the text stands in 1 file: aegis.db (2 decisions: p0, p9)\n" in missed
    assert "erased" not in missed
    run(place, "--where", "customer.email=a@example.org", "--yes")
    with open_store(point) as store:
        assert [row["id"] for row in store.database.query("SELECT id FROM decisions ORDER BY seq")] == ["p1", "p2"]


def record(place, *states, episode="e"):
    """Record a decision for each state, named after its place, in an episode of its own."""
    with open_store(place) as store:
        for n, state in enumerate(states):
            store.append(Decision(f"{episode}{n}", 0, state, ("a", "b"), Action("a"), None, "rule", id=f"n{n}"))


def left(place):
    with open_store(place) as store:
        return [row["id"] for row in store.database.query("SELECT id FROM decisions ORDER BY seq")]


def test_what_is_asked_for_twice_must_both_hold(tmp_path):
    place = Workspace(tmp_path / "workspace")
    record(place, {"customer": 1201, "n": 1}, {"customer": 1201, "n": 2}, {"customer": 1202, "n": 1})
    shown = run(place, "--where", "customer=1201", "--where", "episode=e1", "--yes")
    assert "1 decision with" in shown
    assert left(place) == ["n0", "n2"]
    assert "still stands" not in shown, "others have the same customer"
    missed = run(place, "--where", "customer=1202", "--where", "n=2", "--yes")
    assert "No decision has all of these values at customer and n." in missed
    assert left(place) == ["n0", "n2"]
    assert "--where n: write FIELD=VALUE" in run(place, "--where", "customer=1202", "--where", "n", code=2)


@pytest.mark.parametrize("held", ["T01130", "0.0011303", "11300", "1130.5", "ä1130", 'of "x1130"'])
def test_a_value_within_a_longer_word_or_number_is_no_trace(tmp_path, held):
    place = Workspace(tmp_path / "workspace")
    record(place, {"customer": 1130}, {"customer": held})
    (place.models / "hrm@1").mkdir(parents=True)
    (place.models / "hrm@1" / "heldout.json").write_text(json.dumps([held, 0.0011303]), encoding="utf-8")
    (place.models / "hrm@1" / "model.safetensors").write_bytes(b"\0\1 1130 \0")
    (place.models / "hrm@1" / "gpt2.tiktoken").write_text("IHNlYg== 1130\n")
    place.logs.mkdir()
    (place.logs / "training.log").write_text(f"{held}\n")
    shown = run(place, "--where", "customer=1130", "--yes")
    assert "still stands" not in shown
    assert (place.logs / "training.log").read_text() == f"{held}\n"
    assert left(place) == ["n1"]


@pytest.mark.parametrize("held", ["of 1130.", "a\n1130", "é 1130", "#1130", '["1130"]'])
def test_a_value_that_stands_alone_is_a_trace_and_no_advice_erases_what_others_have(tmp_path, held):
    place = Workspace(tmp_path / "workspace")
    record(place, {"customer": 1130}, {"said": held}, {"said": "T01130"})
    (place.folder / "note.json").write_text(json.dumps([held]), encoding="utf-8")
    shown = run(place, "--where", "customer=1130", "--yes", code=3)
    assert "the text still stands in aegis.db (1 decision: n1)\n" in shown
    assert "the text still stands in note.json\n" in shown
    assert "aegis forget --decision ID" in shown
    assert "--text" not in shown
    assert left(place) == ["n1", "n2"]


def test_an_unknown_decision_is_refused_even_where_other_words_hold_its_id(place):
    record(place, {"nosuch": "nosuch"})
    for yes in (["--yes"], []):
        assert "--decision nosuch: no such decision" in run(place, "--decision", "nosuch", *yes, code=2)
    assert len(left(place)) == 4


def test_the_name_of_an_episode_stands_in_no_byte_after_the_monitors_counted_it(place):
    name = "live-c0"
    record(place, {"n": 1}, episode=name[:-1])
    choice = Choice((0.5, 0.5), "a", "hrm@1", "hrm", out_of_distribution=False)
    earlier = {"answers": 1, "open": {name: [1, 1, 1]}, "closed": [0, 0, 0, 0, 0, 0]}
    with open_store(place) as store:
        drift = DriftMonitor(store, place)
        drift.after(choice, "hrm@1", name)
        drift.close()
        monitor = AgreementMonitor(0.9)
        monitor.observe(True, name)
        store.state.keep(StateKey.MONITOR, monitor.to_record(), "hrm@1")
        store.state.keep(StateKey.STAGE, {"watch": monitor.to_record() | {"blocks": earlier}}, "hrm@1:shadow:1")
    shown = run(place, "--where", f"episode={name}", "--yes")
    assert "still stands" not in shown
    assert list(find_traces(place.folder, name)) == []
    with open_store(place) as store:
        kept = (store.state.record(StateKey.STAGE, "hrm@1:shadow:1") or {})["watch"]
        assert AgreementMonitor.from_record(kept).rate_of(name) == AgreementMonitor(0.9).audit_rate
        assert kept["blocks"]["open_by_digest"].values()
