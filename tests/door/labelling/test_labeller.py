from __future__ import annotations

import gzip
import json
import threading

import pytest

from aegis.cluster.asking import AskedTeacher, Refused
from aegis.door.intake import import_file
from aegis.door.intake.survey import make_specs
from aegis.door.labelling.labeller import label_rows
from aegis.door.labelling.output import LabelFile
from aegis.door.labelling.row import first_line, read_rows
from aegis.errors import DataError
from aegis.lifecycle import open_store
from aegis.store import TeacherClaim
from aegis.types import ActionList, Choice
from aegis.workspace import Workspace

ACTIONS = ActionList(tuple(make_specs(["refund", "reply", "close ticket"])))
TEACHER = TeacherClaim("m", 7, "a test")


class Killed(BaseException):
    pass


def decide(state, actions):
    if "bad" in json.dumps(state):
        return Refused("it answered 'banana'")
    return Choice.certain(actions.names[len(str(state.get("text", ""))) % len(actions)], actions, "m", "teacher")


@pytest.fixture
def write_log(tmp_path):
    def write(lines, name="log.jsonl"):
        path = tmp_path / name
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


@pytest.fixture
def label(tmp_path):
    def run(log, ask=decide, teacher=TEACHER, actions=ACTIONS, **options):
        with LabelFile(tmp_path / "out.jsonl", log, teacher, actions) as output:
            rows = read_rows(log, actions, output.reached.row)
            ended = label_rows(rows, output, ask, options.pop("parallel", 3), **options)
            return ended, output.reached

    return run


def lines_of(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()][1:]


def test_every_line_gets_a_label_or_its_error_in_the_order_of_the_log(write_log, label, tmp_path):
    log = write_log(
        [
            {"state": {"text": "money back"}, "id": "t1", "episode": "e"},
            {"input": "where is my parcel?"},
            "{broken",
            "",
            {"text": "bad"},
            {"state": {"text": "ab"}, "actions": ["refund", "close ticket"]},
            {"state": {"text": "ab"}, "actions": ["fly"]},
            {"state": {}},
            [1, 2],
        ]
    )
    ended, reached = label(log)
    rows = lines_of(tmp_path)
    assert ended == ""
    assert [row["row"] for row in rows] == [1, 2, 3, 5, 6, 7, 8, 9]
    errors = {row["row"]: row["error"] for row in rows if "error" in row}
    assert errors.keys() == {3, 5, 7, 8}
    assert errors[3].startswith("not JSON")
    assert errors[5] == "it answered 'banana'"
    assert "unknown action 'fly'" in errors[7]
    assert "must not be empty" in errors[8]
    assert (reached.labelled, reached.refused, reached.asked) == (4, 4, 5)
    assert rows[2]["line"] == "{broken"
    assert (rows[0]["id"], rows[0]["episode"], rows[0]["policy"]) == ("t1", "e", "m")
    assert rows[0]["state"] == {"text": "money back"}
    assert rows[1]["state"] == {"input": "where is my parcel?"}
    assert rows[4]["probabilities"] == {"refund": 1.0, "close_ticket": 0.0}
    assert rows[-1]["state"] == {"value": [1, 2]}


def test_an_import_takes_the_labels_and_says_which_lines_have_none(write_log, label, tmp_path):
    log = write_log([{"text": "x" * (n % 7), "n": n} for n in range(40)] + [{"text": "bad"}])
    label(log)
    point = Workspace(tmp_path / "w").point("desk")
    found = import_file(tmp_path / "out.jsonl", point)
    assert (found.added, found.refused, found.teacher) == (40, 1, "m")
    assert [spec.description for spec in found.actions] == ["refund", "reply", "close ticket"]
    with open_store(point) as store:
        assert store.teacher() == TEACHER
        assert next(store.decisions()).probabilities is not None


@pytest.mark.parametrize("torn", ["", '{"row": 9, "state": {"te', "x" * 3_000_000])
def test_a_killed_run_goes_on_where_it_was_and_asks_nothing_twice(write_log, label, tmp_path, torn):
    log, asked, lock = write_log([{"text": "x" * n, "n": n} for n in range(60)]), [], threading.Lock()

    def killing(state, actions):
        with lock:
            asked.append(state["n"])
        if state["n"] == 31:
            raise Killed
        return decide(state, actions)

    with pytest.raises(Killed):
        label(log, killing)
    with (tmp_path / "out.jsonl").open("a") as file:
        file.write(torn)
    before = [
        json.loads(line)["row"] for line in (tmp_path / "out.jsonl").read_text().splitlines()[1:] if "}" in line[-2:]
    ]
    again = []

    def noting(state, actions):
        again.append(state["n"])
        return decide(state, actions)

    _, reached = label(log, noting)
    assert [row["row"] for row in lines_of(tmp_path)] == list(range(1, 61))
    assert 0 < len(before) <= 31
    assert sorted(again) == list(range(len(before), 60))
    assert reached.labelled == 60


def test_a_log_that_grew_is_labelled_from_where_it_ended(write_log, label, tmp_path):
    label(write_log([{"n": 1}, {"n": 2}]))
    _, reached = label(write_log([{"n": 1}, {"n": 2}, {"n": 3}]))
    assert reached.labelled == 3


def test_the_budget_of_calls_holds_over_runs_and_counts_no_line_that_is_not_asked_about(write_log, label, tmp_path):
    log = write_log(["{broken", *({"n": n} for n in range(20))])
    ended, reached = label(log, most_calls=5)
    assert ended == "the budget of 5 calls is used up: raise --max-calls to go on"
    assert (reached.asked, reached.row) == (5, 6)
    assert label(log, most_calls=5)[1].asked == 5
    ended, reached = label(log, most_calls=100)
    assert (ended, reached.asked) == ("", 20)


def test_a_budget_of_tokens_ends_the_run_and_leaves_no_line_behind(write_log, label, tmp_path):
    log, left = write_log([{"n": n} for n in range(30)]), [12]

    def spending(state, actions):
        left[0] -= 1
        return Refused("the budget of 12 is used up", for_all=True) if left[0] < 0 else decide(state, actions)

    ended, reached = label(log, spending, parallel=1)
    assert ended == "the budget of 12 is used up"
    assert (reached.labelled, reached.refused, reached.row) == (12, 0, 12)
    assert label(log)[1].labelled == 30


def test_no_more_lines_are_asked_about_at_once_than_told(write_log, label):
    log, now, most, lock = write_log([{"n": n} for n in range(40)]), [0], [0], threading.Lock()
    together = threading.Barrier(4)

    def counting(state, actions):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait(60)  # passes only where four are asked about at the same time
        with lock:
            now[0] -= 1
        return decide(state, actions)

    label(log, counting, parallel=4)
    assert most[0] == 4


def test_labels_of_another_teacher_log_or_list_of_actions_are_not_continued(write_log, label, tmp_path):
    log = write_log([{"n": 1}])
    label(log)
    with pytest.raises(DataError, match="labels of another teacher than"):
        label(log, teacher=TeacherClaim("other", 0, "a test"))
    with pytest.raises(DataError, match="labels of another actions than"):
        label(log, actions=ActionList(tuple(make_specs(["yes", "no"]))))
    with pytest.raises(DataError, match="labels of another log than"):
        label(write_log([{"n": 2}], "other.jsonl"))
    (tmp_path / "out.jsonl").write_text("no labels\n")
    with pytest.raises(DataError, match="no file of labels"):
        label(log)


def test_packed_logs_are_read_and_missing_ones_named(write_log, label, tmp_path):
    packed = write_log([{"n": 1}, {"n": 2}], "log.jsonl.gz")
    assert first_line(packed) == '{"n": 1}'
    assert label(packed)[1].labelled == 2
    with pytest.raises(DataError, match="no such file: check the path"):
        first_line(tmp_path / "missing.jsonl")


def test_a_teacher_on_this_machine_answers_what_waits_in_few_passes(write_log, label):
    from aegis.testing import ScriptedTeacher

    teacher = AskedTeacher(ScriptedTeacher())
    assert label(write_log([{"n": n} for n in range(30)]), teacher.ask, parallel=8)[1].labelled == 30
    assert teacher.asked == 30
    assert teacher.passes <= 30
