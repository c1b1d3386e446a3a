"""Examples go out and come in equal, or are refused with a reason, whatever decisions or files hold."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis.errors import DataError
from aegis.store import Database, DecisionStore, Example, export_examples, import_examples, read_examples
from aegis.store.chain.file import verify_file
from aegis.store.exchange import read_records
from aegis.types import Action, Decision, Outcome

NAMES = ("web_search", "ask_human", "idle")
ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
FIELDS = ("state", "action", "result", "timestamp")

any_text = st.text(max_size=20)
good_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(good_text, inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(good_text, json_values, max_size=4)
# No summer time: Python holds an hour that the clock passes twice for unequal to the same moment in any other zone.
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=offsets).filter(lambda moment: moment.year not in (1, 9999))


@st.composite
def examples(draw, step):
    names = tuple(draw(st.permutations(NAMES)))
    weights = draw(st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
    decision = Decision(
        episode="e",
        step=step,
        state=draw(json_objects.filter(bool)),
        actions=names,
        action=Action(
            draw(st.sampled_from(names)),
            draw(st.dictionaries(good_text.filter(lambda key: key != "action"), any_text, max_size=2)),
        ),
        probabilities=draw(st.none() | st.just(tuple(w / sum(weights) for w in weights))),
        policy=draw(good_text),
        decided_at=draw(moments),
        propensity=draw(st.none() | st.floats(0.001, 1)),
    )
    status = draw(st.sampled_from(["ok", "failed", "unknown", None]))
    if status is None:
        return Example(decision, None)
    reward = None if status == "unknown" else draw(st.none() | st.floats(-1e9, 1e9))
    detail = draw(st.just("") | good_text)
    gained = draw(st.integers(0, 2**63 - 1))
    return Example(decision, Outcome(decision.id, status, gained, reward, detail, draw(json_objects), draw(moments)))


example_lists = st.integers(0, 4).flatmap(lambda n: st.tuples(*(examples(step) for step in range(n))))


def without_chain(path):
    """Return a file's records without their chains, which begin at a time of their own."""
    return [{name: value for name, value in record.items() if name != "chain"} for _, record in read_records(path)]


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """Return an empty database, to be copied: 80 of them are filled."""
    path = tmp_path_factory.mktemp("empty") / "empty.sqlite"
    Database(path).close()
    return path


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_examples=example_lists, ending=st.sampled_from(ENDINGS))
def test_export_and_import_give_equal_decisions_and_outcomes(tmp_path_factory, actions, empty, given_examples, ending):
    folder: Path = tmp_path_factory.mktemp("round-trip")
    for name in ("a", "b"):
        shutil.copyfile(empty, folder / f"{name}.sqlite")
    with Database(folder / "a.sqlite") as one, Database(folder / "b.sqlite") as two:
        first, second = DecisionStore(one), DecisionStore(two)
        first.append_many(example.decision for example in given_examples)
        for example in given_examples:
            if example.outcome is not None:
                first.record_outcome(example.outcome)
        assert list(first.examples()) == list(given_examples)
        assert export_examples(first, folder / f"a{ending}") == len(given_examples)
        report = import_examples(second, read_examples(folder / f"a{ending}", actions))
        assert (report.added, report.rejected) == (len(given_examples), [])
        assert list(second.examples()) == list(given_examples)
        export_examples(second, folder / f"b{ending}")
        assert without_chain(folder / f"b{ending}") == without_chain(folder / f"a{ending}")
        if given_examples:
            assert verify_file(folder / f"a{ending}").fault == ""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, json_values)), max_size=4),
    tail=st.binary(max_size=30),
)
def test_no_content_of_a_file_raises_anything_but_a_data_error(tmp_path_factory, actions, values, tail):
    folder = tmp_path_factory.getbasetemp()
    lines = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    whole = json.dumps({"examples": values}).encode()
    for name, content in (("x.jsonl", lines + tail), ("x.json", whole), ("x.json", whole + tail), ("x.json.gz", tail)):
        (folder / name).write_bytes(content)
        try:
            result = read_examples(folder / name, actions)
        except DataError:
            continue
        assert len(result.examples) + len(result.rejected) <= len(values) + tail.count(b"\n") + 1
        assert all(bad.reason and "\n" not in bad.reason for bad in result.rejected)
