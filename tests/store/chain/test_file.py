"""An exported file and its chain: what was changed, left out or inserted in the file is named."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis.errors import DataError
from aegis.store import Database, DecisionStore, LabelBook, StateKey, export_examples
from aegis.store.chain.check import verify
from aegis.store.chain.file import verify_file
from aegis.types import Outcome, utc_now

COUNT = 20


@pytest.fixture
def store(make_decision):
    """A store of decisions by two policies, with labels, late outcomes, and an outcome that took another's place."""
    with Database(None) as database:
        store = DecisionStore(database)
        for n in range(COUNT):
            decision = make_decision(id=f"d{n}", episode=f"e{n}", policy="hrm@1" if n % 4 == 3 else "gpt2")
            store.append(decision)
            LabelBook(database).append(decision, "hrm@2", decision.probabilities, "shadow", utc_now())
            if n % 2:
                store.record_outcome(Outcome(f"d{n - 1}", "ok", 0, 0.5, detail="well", components={"solved": 0.5}))
        store.record_outcome(Outcome("d4", "failed", reward=-1.0))
        store.record_outcome(Outcome("d1", "ok", reward=0.25))
        yield store


@pytest.fixture
def exported(store, tmp_path):
    """Return what writes a file's lines and returns its path, and the lines of an export."""
    path = tmp_path / "decisions.jsonl"
    export_examples(store, path)

    def write(lines):
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
        return path

    return write, [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("ending", [".json", ".jsonl.gz"])
def test_a_whole_export_is_found_whole_and_leads_to_the_workspaces_head(store, tmp_path, ending):
    export_examples(store, path := tmp_path / f"all{ending}")
    found = verify_file(path)
    assert found.fault == ""
    assert found.counts == {"decision": COUNT, "outcome": COUNT // 2 + 1}
    assert found.others == COUNT + 1  # the labels, and the outcome that another took the place of
    assert found.head == verify(store.database).head
    assert verify(store.database, found.head).noted_at is not None


def test_a_file_of_one_policys_decisions_counts_what_it_leaves_out(store, tmp_path):
    export_examples(store, path := tmp_path / "some.jsonl", policies=["gpt2"])
    found, whole = verify_file(path), verify(store.database)
    assert (found.fault, found.head) == ("", whole.head)
    assert found.counts["decision"] == COUNT - COUNT // 4
    assert found.entries + found.others == whole.entries
    assert verify_file(path, whole.head).noted_at == whole.entries


def paths_of(value, path=()):
    """Yield the way to each value within a record that is no object and no list."""
    if isinstance(value, (dict, list)) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_of(inner, (*path, key))
    else:
        yield path


def other(value):
    """Return another value of the same type."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return f"{value[:-1]}{'1' if value[-1:] == '0' else '0'}" if isinstance(value, str) else {"new": 1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_a_value_that_is_changed_anywhere_in_a_record_is_found(exported, data):
    write, lines = exported
    changed = copy.deepcopy(lines)
    place = data.draw(st.integers(1, COUNT))
    record = changed[place]
    path = data.draw(st.sampled_from(sorted(paths_of(record), key=str)))
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = other(inner[path[-1]])
    fault = verify_file(write(changed)).fault
    assert fault, path
    if path[0] not in ("chain", "id", "result"):
        assert f"line {place + 1}, decision {record['id']}" in fault


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: lines[:5] + lines[6:], "line 6, decision d5: the chain breaks before it"),
        (lambda lines: lines[:-1], "the end of the file: is missing"),
        (lambda lines: [*lines, lines[3]], "decision d2: was inserted after the end of the chain"),
        (lambda lines: [*lines[:4], lines[2], *lines[4:]], "line 5, decision d1"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "line 4, decision d3"),
        (lambda lines: [*lines[:3], {"id": "x"}, *lines[3:]], "line 4, decision x: was changed: it is out of form"),
    ],
)
def test_a_record_that_is_missing_or_inserted_is_named(exported, change, expected):
    write, lines = exported
    assert expected in verify_file(write(change(lines))).fault


def test_an_outcome_that_is_left_out_is_named(exported):
    write, lines = exported
    lines[3] |= {"outcome": None, "result": {}}
    assert "line 4, decision d2: its outcome was left out" in verify_file(write(lines)).fault


def test_a_file_without_a_chain_says_so(exported):
    write, lines = exported
    for line in lines:
        line.pop("chain", None)
    with pytest.raises(DataError, match="carries no chain"):
        verify_file(write(lines))


def test_actions_that_were_renamed_since_are_told_with_both_names(store, tmp_path):
    store.state.keep(StateKey.RENAMED, {"idle": "rest"})
    export_examples(store, path := tmp_path / "renamed.jsonl")
    found = verify_file(path)
    assert (found.fault, found.renamed) == ("", {"idle": "rest"})
    path.write_text(path.read_text("utf-8").replace('"rest"', '"sleep"', 1), "utf-8")
    assert "line 2" in verify_file(path).fault
