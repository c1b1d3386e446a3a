from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from aegis.errors import DataError
from aegis.store import (
    Example,
    export_examples,
    import_examples,
    read_examples,
    write_examples,
)
from aegis.types import Action, Outcome

NAMES = ("web_search", "ask_human", "idle")
ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
DEEP = "[" * 500 + "]" * 500


def record(n=0, **fields):
    return {
        "state": {"goal": f"goal {n}"},
        "action": {"action": "web_search", "query": f"query {n}"},
        "result": {},
        "timestamp": "2026-01-31T12:00:00Z",
    } | fields


def without(key):
    return {name: value for name, value in record().items() if name != key}


def write_json(path, records, metadata=None):
    path.write_text(json.dumps({"metadata": metadata or {}, "examples": records}), encoding="utf-8")
    return path


def write_lines(path, lines, end="\n"):
    path.write_text("\n".join(lines) + end, encoding="utf-8")
    return path


def reasons(result):
    return {bad.position: bad.reason for bad in result.rejected}


def test_a_plain_record_becomes_a_decision_with_an_unknown_outcome(tmp_path, actions):
    result = read_examples(write_json(tmp_path / "a.json", [record()], {"teacher": "gpt2", "note": 1}), actions)
    assert (result.metadata, result.positions, result.rejected) == (
        {"teacher": "gpt2", "note": 1},
        ["examples[0]"],
        [],
    )
    decision, outcome = result.examples[0]
    assert decision.state == {"goal": "goal 0"}
    assert decision.action == Action("web_search", {"query": "query 0"})
    assert (decision.actions, decision.probabilities, decision.policy) == (NAMES, None, "gpt2")
    assert decision.decided_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert outcome == Outcome(decision.id, "unknown", recorded_at=decision.decided_at)


@pytest.mark.parametrize(
    ("result", "status", "gained"),
    [
        ({"success": True, "knowledge_gained": 3}, "ok", 3),
        ({"ok": False, "gained": 1}, "failed", 1),
        ({"success": "yes", "gained": True}, "unknown", 0),
        ({"success": True, "ok": False}, "unknown", 0),
    ],
)
def test_a_result_gives_its_outcome_only_by_true_or_false(tmp_path, actions, result, status, gained):
    path = write_json(tmp_path / "a.json", [record(result=result)])
    outcome = read_examples(path, actions).examples[0].outcome
    assert (outcome.status, outcome.gained, outcome.reward, outcome.result) == (status, gained, None, result)


def test_a_record_without_a_result_has_no_outcome(tmp_path, actions):
    path = write_json(tmp_path / "a.json", [without("result"), record(1, outcome=None)])
    assert [example.outcome for example in read_examples(path, actions).examples] == [None, None]


BAD_RECORDS = [
    (record(action={"action": "web_serach", "query": "x"}), "action.action: unknown action 'web_serach': the list is"),
    (record(action={"query": "x"}), "action.action: expected the name of an action, found nothing"),
    (record(action={"action": None}), "action.action: expected the name of an action, found null"),
    (record(action=["web_search"]), "action: expected an object, found a list"),
    (record(action={"action": "web_search", "query": 5}), "action.query: expected text, found a number"),
    (record(state=5), "state: expected an object, found a number"),
    (record(state={"x": {"y": float("inf")}}), "state.x.y: inf is not a finite number"),
    (record(state={"x": json.loads(DEEP)}), "state: nested deeper than 64 levels"),
    (record(result="done"), "result: expected an object, found text"),
    (record(result={"gained": -1}), "result.gained: expected a whole number from 0 on, found -1"),
    (without("timestamp"), "timestamp: is missing"),
    (without("state"), "state: is missing"),
    (record(timestamp="yesterday"), "timestamp: expected ISO-8601 like 2026-01-31T12:00:00Z, found 'yesterday'"),
    (record(timestamp=1769860800), "timestamp: expected ISO-8601 text, found a number"),
    (record(timestamp="0001-01-01T00:00:00+10:00"), "timestamp: expected ISO-8601"),
    (record(outcome={"status": "ok", "reward": float("nan")}), "outcome.reward: nan is not a finite number"),
    (record(outcome={"status": "ok", "reward": "high"}), "outcome.reward: expected a number, found text"),
    (record(outcome={"status": "ok", "reward": 10**400}), "outcome.reward: "),
    (record(outcome={"status": "fine"}), "outcome.status: input should be 'ok', 'failed' or 'unknown'"),
    (record(outcome={"status": "unknown", "reward": 1.0}), "an unknown outcome brings no reward"),
    (record(outcome="ok"), "outcome: expected an object, found text"),
    (record(probabilities=[0.5, 0.5, 0]), "probabilities: expected an object, found a list"),
    (
        record(probabilities={"web_search": 1.0}),
        "probabilities: expected a number for each of web_search, ask_human, idle;",
    ),
    (record(probabilities=dict(zip(NAMES, (0.9, 0.9, 0.9), strict=True))), "probabilities sum to 2.7000, not 1"),
    (record(probabilities=dict(zip(NAMES, (2, -1, 0), strict=True))), "probabilities [2.0, -1.0, 0.0] must be"),
    (record(probabilities=dict(zip(NAMES, (True, 0, 0), strict=True))), "probabilities.web_search: expected a number"),
    (record(propensity=1.5), "propensity 1.5 must be above 0 and at most 1, or null where nothing was drawn"),
    (record(propensity="high"), "propensity: expected a number, found text"),
    (record(actions=["web_search", "fly"]), "actions: unknown action 'fly'"),
    (record(actions=["idle", "ask_human"]), "unknown action 'web_search': on offer are idle, ask_human"),
    (record(actions=["web_search", "web_search"]), "actions: expected each name once"),
    (record(step=3), "step: expected an episode beside it"),
    (record(episode="e", step=-1), "step: input should be greater than or equal to 0"),
    (record(episode="e", step=True), "step: expected a whole number, found true or false"),
    (record(episode="half \ud83d"), "episode: "),
    (record(id=""), "id: "),
    ("a text", "expected an object with state, action, result and timestamp, found text"),
    (None, "expected an object with state, action, result and timestamp, found null"),
    ({}, "state: is missing; action: is missing; timestamp: is missing"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_RECORDS, ids=[reason[:50] for _, reason in BAD_RECORDS])
def test_a_bad_record_is_named_by_position_and_reason_and_the_others_are_kept(tmp_path, actions, bad, reason):
    good = [record(1), record(2)]
    as_json = read_examples(write_json(tmp_path / "a.json", [good[0], bad, good[1]]), actions)
    lines = [json.dumps(value) for value in ({"metadata": {}}, good[0], bad, good[1])]
    as_lines = read_examples(write_lines(tmp_path / "a.jsonl", lines), actions)
    for result, position in ((as_json, "examples[1]"), (as_lines, "line 3")):
        assert [e.decision.state["goal"] for e in result.examples] == ["goal 1", "goal 2"]
        assert list(reasons(result)) == [position]
        said = reasons(result)[position]
        assert said.startswith(reason)
        assert "\n" not in said
        assert len(said) <= 300
    assert as_json.positions == ["examples[0]", "examples[2]"]
    assert as_lines.positions == ["line 2", "line 4"]


def test_an_action_without_an_argument_may_be_its_name_alone(tmp_path, actions):
    result = read_examples(write_json(tmp_path / "a.json", [record(action="idle")]), actions)
    assert [example.decision.action.to_record() for example in result.examples] == [{"action": "idle"}]


def test_of_many_faults_three_are_named_and_the_others_counted(tmp_path, actions):
    bad = {"state": 1, "action": 2, "policy": 3, "step": "4", "episode": "e", "timestamp": "x"}
    said = reasons(read_examples(write_json(tmp_path / "a.json", [bad]), actions))["examples[0]"]
    assert said == (
        "state: expected an object, found a number; action: expected an object, found a number; timestamp: expected"
        " ISO-8601 like 2026-01-31T12:00:00Z, found 'x' (and 2 more faults)"
    )


def test_a_broken_line_is_one_rejected_record(tmp_path, actions):
    lines = [json.dumps(record(0)), '{"state": {', "", "[" * 200_000, "1" * 5000, json.dumps(record(1))]
    result = read_examples(write_lines(tmp_path / "a.jsonl", lines), actions)
    assert len(result.examples) == 2
    said = reasons(result)
    assert list(said) == ["line 2", "line 4", "line 5"]
    assert said["line 2"].startswith("not JSON: ")
    assert said["line 4"] == "nested too deeply to be read"


def test_the_last_line_may_lack_its_end_when_it_is_whole(tmp_path, actions):
    lines = [json.dumps(record(0)), json.dumps(record(1, state={"separator": "\u2028 \x85"}), ensure_ascii=False)]
    result = read_examples(write_lines(tmp_path / "a.jsonl", lines, end=""), actions)
    assert (len(result.examples), result.rejected) == (2, [])


WHOLE = json.dumps({"examples": [record()]}).encode()
LINES = (json.dumps(record()) + "\n").encode()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b"", "a.json: the file is empty: export or copy"),
        ("a.jsonl", b"\n \n", "a.jsonl: the file is empty: export or copy"),
        ("a.json", WHOLE[:-20], "a.json, line 1 column .*: not JSON .* copy the file again if it is cut off"),
        ("a.json", b'{"examples": [\n1,\n}', "a.json, line 3 column 1: not JSON"),
        ("a.json", LINES + LINES, r"a.json, line 2 column 1: not JSON .*one example per line is named .jsonl"),
        ("a.json", b'{"records": []}', "a.json, line 1: no list of examples: expected"),
        ("a.json", b"[]", "a.json, line 1: no list of examples: expected"),
        ("a.json", b'{"examples": {}}', "a.json, line 1: no list of examples: expected"),
        ("a.json", b'{"metadata": 1, "examples": []}', "metadata must be an object"),
        ("a.json", b'{"metadata": {"x": NaN}, "examples": []}', "metadata: x: nan is not a finite number"),
        ("a.json", b"[" * 200_000, "a.json: nested too deeply"),
        ("a.json", b'{"examples": [' + b"1" * 5000 + b"]}", "a.json: holds a number that can't be read"),
        ("a.json", WHOLE.decode().encode("utf-16"), "a.json, line 1: not UTF-8 text: convert"),
        ("a.jsonl", LINES + b'{"state": "\xe9"}\n', "a.jsonl, line 2: not UTF-8 text: convert"),
        ("a.jsonl", LINES + LINES[:40], "a.jsonl, line 2: the file is cut off in the middle of this line"),
        ("a.jsonl", b'{"metadata": 1}\n', "a.jsonl, line 1: metadata must be an object"),
        ("a.json.gz", b"no gzip", "a.json.gz: not a whole gzip file .* copy or make it again"),
        ("a.jsonl.gz", gzip.compress(LINES * 9)[:-12], "a.jsonl.gz: not a whole gzip file .* copy or make it again"),
        ("a.csv", b"x", "a.csv: unknown ending: records of decisions are named .json or .jsonl"),
        ("a.gz", b"x", "a.gz: unknown ending: records of decisions are named .json or .jsonl"),
    ],
)
def test_a_malformed_file_is_refused_with_its_name_its_line_and_what_to_do(tmp_path, actions, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_examples(tmp_path / name, actions)


def test_a_missing_file_and_a_folder_are_refused(tmp_path, actions):
    with pytest.raises(DataError, match=r"a\.json: no such file"):
        read_examples(tmp_path / "a.json", actions)
    (tmp_path / "b.json").mkdir()
    with pytest.raises(DataError, match=r"b\.json: can't be read"):
        read_examples(tmp_path / "b.json", actions)


def test_identical_records_beyond_the_first_and_doubled_places_are_refused(tmp_path, actions):
    records = [record(0), record(0), record(1, id="x"), record(2, id="x")]
    records += [record(3, episode="e", step=0), record(4, episode="e"), record(5, episode="e", step=1)]
    result = read_examples(write_json(tmp_path / "a.json", records), actions)
    said = reasons(result)
    assert list(said) == ["examples[1]", "examples[3]", "examples[6]"]
    assert said["examples[1]"].startswith("the same record as examples[0]")
    assert said["examples[3]"] == "the same record as examples[2] (id 'x')"
    assert said["examples[6]"] == "step: episode 'e' has its step 1 in examples[5] already"


def test_records_without_an_episode_make_episodes_of_twenty_whatever_the_spelling_of_the_file(tmp_path, actions):
    records = [record(n) for n in range(45)]
    records[7]["state"] = None
    files = [
        write_json(tmp_path / "a.json", records),
        write_lines(tmp_path / "b.jsonl", [json.dumps(r, indent=None, sort_keys=True) for r in records]),
    ]
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(files[0].read_bytes()))
    files.append(tmp_path / "c.json.gz")
    results = [read_examples(file, actions) for file in files]
    assert results[0].examples == results[1].examples == results[2].examples
    decisions = [example.decision for example in results[0].examples]
    episodes = sorted({d.episode for d in decisions})
    assert len(episodes) == 3
    places = [(episodes.index(d.episode) * 20 + d.step) for d in decisions]
    assert places == [n for n in range(45) if n != 7]
    other = read_examples(write_json(tmp_path / "d.json", records[1:]), actions)
    assert not set(episodes) & {example.decision.episode for example in other.examples}


def test_importing_twice_adds_nothing_and_names_what_clashes(tmp_path, actions, store):
    path = write_json(tmp_path / "a.json", [*(record(n) for n in range(1100)), record(action={"action": "fly"})])
    first = import_examples(store, read_examples(path, actions))
    assert (first.added, first.already_there, [r.position for r in first.rejected]) == (1100, 0, ["examples[1100]"])
    before = list(store.examples())
    second = import_examples(store, read_examples(path, actions))
    assert (second.added, second.already_there, len(second.rejected)) == (0, 1100, 1)
    assert list(store.examples()) == before

    taken = before[0].decision
    clashes = [record(5, id=taken.id), record(6, episode=taken.episode, step=taken.step)]
    third = import_examples(store, read_examples(write_json(tmp_path / "b.json", clashes), actions))
    assert (third.added, third.already_there) == (0, 0)
    assert "is another decision's in this workspace" in third.rejected[0].reason
    assert f"is decision '{taken.id}' in this workspace" in third.rejected[1].reason
    assert list(store.examples()) == before


def test_an_import_adds_a_known_outcome_but_never_overwrites_an_outcome(tmp_path, actions, store, make_decision):
    decision = make_decision()
    store.append(decision)
    known, unknown = Outcome(decision.id, "ok", gained=2), Outcome(decision.id, "unknown", gained=0)
    for outcome, current in ((None, None), (unknown, unknown), (known, known), (unknown, known), (None, known)):
        path = tmp_path / "a.jsonl"
        write_examples(path, {}, [Example(decision, outcome)])
        report = import_examples(store, read_examples(path, actions))
        assert (report.added, report.already_there, report.rejected) == (0, 1, [])
        assert store.get(decision.id).outcome == current
    assert store.database.query("SELECT COUNT(*) FROM outcomes")[0][0] == 2


def test_an_export_names_the_teacher_and_holds_the_policies_asked_for(tmp_path, actions, store, make_decision):
    store.claim_teacher("gpt2", 124_439_808, "openai-community/gpt2")
    store.append_many([make_decision(0), make_decision(1, policy="hrm@1")])
    path = tmp_path / "new folder" / "a.json"
    assert export_examples(store, path, policies=["hrm@1"]) == 1
    result = read_examples(path, actions)
    assert result.metadata == {
        "teacher": {"name": "gpt2", "parameters": 124_439_808, "source": "openai-community/gpt2"}
    }
    assert [e.decision for e in result.examples] == list(store.decisions(["hrm@1"]))


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_empty_store_exports_and_reads_back(tmp_path, actions, store, ending):
    path = tmp_path / f"a{ending}"
    assert export_examples(store, path, metadata={"note": "\ud83d"}) == 0
    result = read_examples(path, actions)
    assert (result.metadata, result.examples, result.rejected) == ({"note": "\ud83d"}, [], [])


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_write_that_fails_leaves_the_older_file_and_no_other(tmp_path, make_decision, ending):
    path = tmp_path / f"a{ending}"
    write_examples(path, {}, [Example(make_decision(), None)])
    before = path.read_bytes()
    broken = make_decision(state={"x": float("nan")})
    with pytest.raises(DataError, match="nothing written"):
        write_examples(path, {}, [Example(make_decision(), None), Example(broken, None)])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_refused_with_advice(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"can't be written: .*choose a folder"):
        write_examples(tmp_path / "file" / "a.json", {}, [])
    with pytest.raises(DataError, match=r"a\.parquet: unknown ending"):
        write_examples(tmp_path / "a.parquet", {}, [])
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_timestamp_without_a_zone_is_taken_as_utc(tmp_path, actions):
    start = datetime(2026, 1, 1)
    records = [record(n, timestamp=(start + timedelta(days=n)).isoformat()) for n in range(3)]
    result = read_examples(write_json(tmp_path / "a.json", records), actions)
    assert [e.decision.decided_at for e in result.examples] == [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl.gz"])
def test_the_parts_of_a_reward_go_out_and_come_in_again(tmp_path, actions, store, make_decision, name):
    decision = make_decision()
    store.append(decision)
    store.record_outcome(Outcome(decision.id, "ok", reward=1.0, components={"pending": 1.0}))
    store.record_outcome(Outcome(decision.id, "failed", reward=-1.0, components={"rejected": -1.0}))
    assert store.get(decision.id).outcome.components == {"rejected": -1.0}
    write_examples(tmp_path / name, {}, store.examples())
    (example,) = read_examples(tmp_path / name, actions).examples
    assert example.outcome.components == {"rejected": -1.0}


def test_components_that_do_not_sum_to_the_reward_make_a_bad_record(tmp_path, actions):
    outcomes = [{"status": "ok", "reward": 2.0, "components": {"pending": 1.0}}, {"status": "ok", "components": [1]}]
    path = write_json(tmp_path / "a.json", [record(k, outcome=outcome) for k, outcome in enumerate(outcomes)])
    reasons = [rejected.reason for rejected in read_examples(path, actions).rejected]
    assert "components sum to 1, not to 2" in reasons[0]
    assert reasons[1].startswith("outcome.components: expected an object")


def test_a_large_file_reports_progress_in_reading_adding_and_writing(tmp_path, actions, store):
    path, heard = write_json(tmp_path / "many.json", [record(n) for n in range(1200)]), []

    def hear(*far):
        heard.append(far)

    import_examples(store, read_examples(path, actions, hear), hear)
    export_examples(store, tmp_path / "out.jsonl", progress=hear)
    counted = [(what, done) for what, done, total in heard if total == 1200]
    for what in ("Reading many.json", "Adding decisions", "Writing decisions"):
        assert [done for part, done in counted if part == what] == [0, 500, 1000]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_file_from_before_the_propensity_was_recorded_is_read_and_has_none(tmp_path, actions, make_decision, name):
    drawn = Example(make_decision(propensity=0.5), None)
    write_examples(tmp_path / name, {}, [drawn])
    text = (tmp_path / name).read_text()
    assert '"propensity": 0.5' in text
    assert read_examples(tmp_path / name, actions).examples[0].decision.propensity == 0.5
    (tmp_path / name).write_text(text.replace('"propensity": 0.5, ', ""))
    assert read_examples(tmp_path / name, actions).examples[0].decision.propensity is None


def test_a_text_and_messages_as_a_state_are_put_into_an_object(tmp_path, actions):
    messages = [{"role": "user", "content": "hi"}]
    records = [record(0) | {"state": "where is my order?"}, record(1) | {"state": messages}, record(2) | {"state": [1]}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"examples": records}))
    states = [example.decision.state for example in read_examples(path, actions).examples]
    assert states == [{"text": "where is my order?"}, {"messages": messages}, {"value": [1]}]
