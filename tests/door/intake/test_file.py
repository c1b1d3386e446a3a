"""Files of other programs, and of one's own, become the decisions of a decision point."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aegis.door import Decider
from aegis.door.intake import Intake, IntakeOptions, import_file
from aegis.errors import ConfigError, DataError, TeacherMismatchError
from aegis.formats import Fields
from aegis.lifecycle import open_store
from aegis.lifecycle.point import ActionChanges, claim_actions, read_actions
from aegis.store import Example, export_examples
from aegis.types import ActionList, ActionSpec
from aegis.workspace import Workspace

MESSAGES = [{"role": "system", "content": "You route tickets."}, {"role": "user", "content": "x" * 5000}]


def plain(number: int, **fields: Any) -> dict[str, Any]:
    return {"input": {"ticket": f"order {number}"}, "label": ["refund", "answer"][number % 2], **fields}


def chat(number: int, tool: str = "refund", **fields: Any) -> dict[str, Any]:
    call = {"function": {"name": tool, "arguments": "{}"}}
    return {
        "request": {
            "model": "gpt-4o",
            "messages": [*MESSAGES],
            "tools": [{"function": {"name": name}} for name in ("refund", "look up")],
            "tool_choice": "required",
        },
        "response": {"id": f"chat-{number}", "choices": [{"message": {"role": "assistant", "tool_calls": [call]}}]},
        **fields,
    }


@pytest.fixture
def point(tmp_path) -> Workspace:
    return Workspace(tmp_path).point("router")


@pytest.fixture
def bring(tmp_path, point) -> Callable[..., Intake]:
    """Return what writes lines to a file and imports it: values as JSON, text as it is."""

    def both(*lines: Any, name: str = "log.jsonl", **options: Any) -> Intake:
        path = tmp_path / name
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
        return import_file(path, point, IntakeOptions(**options))

    return both


def recorded(point: Workspace) -> list[Example]:
    with open_store(point) as store:
        return list(store.examples())


def test_a_chat_log_becomes_the_points_actions_teacher_and_whole_states(bring, point):
    found = bring(chat(1, reward=0.5), chat(2, "look up"))
    assert (found.format, found.added, found.rewards, found.teacher) == ("openai", 2, 1, "gpt-4o")
    (first, second) = recorded(point)
    assert first.decision.state == {"user": MESSAGES[1]["content"], "system": "You route tickets."}
    assert (first.decision.id, first.decision.policy, first.decision.action.name) == ("chat-1", "gpt-4o", "refund")
    assert first.outcome is not None
    assert (first.outcome.status, first.outcome.reward) == ("ok", 0.5)
    assert (second.decision.action.name, second.outcome) == ("look_up", None)
    # The same conversation: the second is the next step of the first.
    assert (first.decision.episode, second.decision.step) == (second.decision.episode, 1)
    with open_store(point) as store:
        assert [(spec.name, spec.words) for spec in read_actions(store)] == [
            ("look_up", "look up"),
            ("refund", "refund"),
        ]
        assert store.teacher().name == "gpt-4o"


def test_a_second_import_adds_nothing_and_a_file_that_has_grown_adds_what_is_new(bring, point):
    lines = [plain(number // 2, time=f"2026-11-01T12:00:0{number}+00:00") for number in range(6)]
    lines += [plain(7), plain(7), plain(7)]  # the same thing three times is three decisions
    assert bring(*lines).added == 9
    again = bring(*lines)
    assert (again.added, again.already_there, len(recorded(point))) == (0, 9, 9)
    grown = bring(*lines, plain(7), plain(8, id="new"))
    assert (grown.added, grown.already_there) == (2, 9)


def test_a_reward_that_comes_with_a_later_file_is_recorded_once(bring, point):
    bring(plain(0, id="a"), plain(1, id="b"))
    assert bring(plain(0, id="a", reward=1.0), plain(1, id="b")).rewards == 1
    assert bring(plain(0, id="a", reward=1.0), plain(1, id="b")).rewards == 0
    assert [outcome and outcome.reward for _, outcome in recorded(point)] == [1.0, None]


def test_an_id_that_comes_again_with_other_content_loses_no_decision(bring, point):
    found = bring(*(plain(number, id="customer 7") for number in range(4)))
    assert (found.added, found.renamed) == (4, 3)
    assert bring(*(plain(number, id="customer 7") for number in range(4))).added == 0
    assert "customer 7" in [decision.id for decision, _ in recorded(point)]


def test_lines_that_cannot_be_used_are_counted_and_named_and_the_others_are_kept(bring, point):
    found = bring(
        plain(0),
        "{broken",
        plain(1),
        {"input": "x"},
        plain(2, reward="high"),
        '{"input": {"n": NaN}, "label": "refund"}',
    )
    assert (found.added, found.refused) == (2, 4)
    reasons = dict(found.first_refused)
    assert set(reasons) == {"line 2", "line 4", "line 5", "line 6"}
    assert "reward: expected a number, found 'high'" in reasons["line 5"]
    assert "state: n: nan is not a finite number" in reasons["line 6"]


def test_labels_that_are_no_names_become_actions_that_can_be_told_apart(bring, point):
    labels = ["Technical support", "Technical_support", "+", "返金する", "a/b"]
    found = bring(*({"input": str(number), "label": label} for number, label in enumerate(labels)))
    assert found.added == 5
    names = [decision.action.name for decision, _ in recorded(point)]
    assert len(set(names)) == 5
    assert "返金する" in names
    with open_store(point) as store:
        assert [read_actions(store)[name].description for name in names] == labels
    assert bring(*({"input": str(number), "label": label} for number, label in enumerate(labels))).already_there == 5


def test_a_file_with_several_kinds_of_decisions_needs_one_named(bring, point):
    lines = [plain(number, point=["billing", "support"][number % 3 > 0]) for number in range(12)]
    with pytest.raises(DataError, match=r"several kinds of decisions: 'support' \(8\); 'billing' \(4\): name one with"):
        bring(*lines)
    with pytest.raises(DataError, match="'suport': no such kind of decisions: did you mean 'support'"):
        bring(*lines, kind="suport")
    assert not point.database.exists()
    found = bring(*lines, kind="support")
    assert (found.added, found.other_kinds) == (8, 4)
    by_name = bring(*(plain(number, point=["router", "x"][number > 101]) for number in range(100, 105)))
    assert (by_name.added, by_name.other_kinds) == (2, 3)  # the kind that bears the point's name


def test_a_point_takes_only_its_own_actions_and_its_own_teacher(bring, point):
    bring(plain(0, model="gpt-4o"), plain(1, model="gpt-4o"), plain(3, model="gpt-4o-mini"))
    found = bring({"input": "new", "label": "escalate", "model": "gpt-4o"}, plain(9, model="gpt-4o"))
    assert (found.added, found.refused) == (1, 1)
    assert found.first_refused[0][1] == "action 'escalate' is none of this decision point's: answer, refund"
    with pytest.raises(TeacherMismatchError, match="`--teacher gpt-4o` counts them as gpt-4o's"):
        bring(plain(20, model="llama"))
    assert bring(plain(20, model="llama"), teacher="gpt-4o").added == 1
    assert [decision.policy for decision, _ in recorded(point)][-1] == "gpt-4o"


def test_a_deciders_own_point_takes_a_file_of_its_teachers_past(bring, point, tmp_path):
    def my_llm(state, actions):
        return "refund"

    bring(plain(0), plain(1), teacher="my_llm", actions=("refund", "escalate", "answer"))
    with Decider("router", ["refund", "escalate", "answer"], my_llm, workspace=tmp_path) as decider:
        decider.decide({"ticket": "order 3"})
    assert [decision.policy for decision, _ in recorded(point)] == ["my_llm"] * 3


def test_an_export_comes_back_whole_in_another_point(bring, point, tmp_path):
    bring(*(plain(number, reward=number / 2, session_id=f"s{number // 3}") for number in range(9)))
    with open_store(point) as store:
        export_examples(store, tmp_path / "out.jsonl", metadata={"teacher": "imported"})
    other = Workspace(tmp_path).point("other")
    assert import_file(tmp_path / "out.jsonl", other).rewards == 9
    assert recorded(other) == recorded(point)
    assert import_file(tmp_path / "out.jsonl", other).already_there == 9


def test_records_with_actions_of_ones_own_keep_their_probabilities(bring, point):
    record = {
        "state": "a text",
        "action": "refund",
        "actions": ["refund", "answer"],
        "probabilities": {"refund": 0.75, "answer": 0.25},
        "timestamp": "2026-11-01T12:00:00+00:00",
    }
    strange = {**record, "state": {"n": 1}, "action": {"action": "answer"}, "probabilities": {"answer": 1.0}}
    found = bring({"metadata": {"teacher": "mine"}}, record, strange)
    assert (found.added, found.teacher) == (1, "mine")
    assert "probabilities: expected a number for each" in found.first_refused[0][1]
    (example,) = recorded(point)
    assert (example.decision.actions, example.decision.probabilities) == (("refund", "answer"), (0.75, 0.25))


def test_records_without_a_time_are_taken_as_they_are(bring, point):
    record = {"state": {"n": 1}, "action": "refund", "probabilities": {"refund": 0.75, "answer": 0.25}}
    paid = {"state": {"n": 2}, "action": {"action": "answer"}, "outcome": {"status": "ok", "reward": 2.0}}
    found = bring(record, paid, {**record, "probabilities": {"refund": 1.0}})
    assert (found.format, found.added, found.undated, found.rewards) == ("aegis", 2, 2, 1)
    assert (
        "probabilities: expected a number for each of answer, refund; 'answer' doesn't fit" in found.first_refused[0][1]
    )
    assert [decision.probabilities for decision, _ in recorded(point)] == [(0.25, 0.75), None]


def test_a_point_that_is_there_keeps_its_actions(bring):
    bring(plain(0), plain(1))
    with pytest.raises(ConfigError, match="--actions is for a new decision point; this one has answer, refund"):
        bring(plain(2), actions=("refund", "answer"))
    assert bring(plain(2), actions=("answer", "refund")).added == 1


def test_a_table_without_times_episodes_and_names_stands_in_its_order(bring, point):
    rows = ["amount;class;paid", *(f"{number};{'yes' if number % 3 else 'no'};{number}" for number in range(45))]
    found = bring(*rows, name="table.csv", fields=Fields(reward="paid"))
    assert (found.added, found.undated, found.rewards, found.teacher) == (45, 45, 45, "imported")
    decisions = [decision for decision, _ in recorded(point)]
    assert [decision.state for decision in decisions] == [{"amount": float(number)} for number in range(45)]
    assert len({decision.episode for decision in decisions}) == 3
    moments = [decision.decided_at for decision in decisions]
    assert moments == sorted(set(moments))


def test_a_file_without_a_decision_or_with_one_action_makes_no_point(bring, point):
    with pytest.raises(DataError, match="the only action is refund: a decision needs two or more"):
        bring(plain(0), plain(2))
    with pytest.raises(DataError, match="no decision in it, read as openai"):
        bring({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}], "tools": []})
    with pytest.raises(DataError, match="the only action is refund"):
        bring(plain(0), plain(2), actions=("refund",))
    with pytest.raises(DataError, match="over 5,000 different actions: name their field with --label"):
        bring(*({"input": "x", "label": f"label {number}"} for number in range(5001)))
    assert not Path(point.folder).exists()
    assert bring(plain(0), plain(2), actions=("refund", "answer")).added == 2


def test_a_line_with_a_former_or_a_retired_action_is_refused_with_the_reason(bring, point):
    bring(*(plain(n, label=("refund", "answer", "ask")[n % 3]) for n in range(6)))
    with open_store(point) as store:
        actions = read_actions(store)
        left = ActionList((ActionSpec("reply", "reply", "reply"), actions.specs[2]))
        claim_actions(store, left, ActionChanges(retired=["ask"], renamed={"answer": "reply"}))
    found = bring(plain(7, label="answer"), plain(8, label="ask"), plain(9, label="refnd"), plain(10, label="refund"))
    reasons = [reason for _, reason in found.first_refused]
    assert "action 'answer' was renamed here: write 'reply' in the file" in reasons[0]
    assert "action 'ask' is retired here: no training learns from it" in reasons[1]
    assert "action 'refnd' is none of this decision point's: reply, refund" in reasons[2]
    assert found.added == 1


def test_several_tools_at_once_are_on_offer_wherever_each_of_them_is(bring, point):
    lines = [chat(number, "refund") for number in range(3)]
    both = chat(3)
    calls = both["response"]["choices"][0]["message"]["tool_calls"]
    calls.append({"function": {"name": "look up", "arguments": "{}"}})
    found = bring(*lines, both, chat(4, "look up"))
    assert found.added == 5
    menus = {decision.actions for decision, _ in recorded(point)}
    # A menu that differs where both were called would give the answer away, to the HRM and to the gate alike.
    assert menus == {("look_up", "look_up_refund", "refund")}
    narrow = chat(5, "refund")
    narrow["request"]["tools"] = [{"function": {"name": "refund"}}, {"function": {"name": "other"}}]
    assert bring(narrow, by="all").added == 1
    assert recorded(point)[-1].decision.actions == ("refund",)
    assert bring(*lines, both).already_there == 4
