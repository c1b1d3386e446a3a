from __future__ import annotations

import json

from aegis.formats import read_decisions
from benchmarks.decisions import bfcl, telecom

TASKS = {
    "task_0": {
        "question": [[{"role": "user", "content": "Copy the file."}], [{"role": "user", "content": "Now tell Ann."}]],
        "involved_classes": ["GorillaFileSystem", "MessageAPI"],
    }
}
ANSWERS = {"task_0": {"ground_truth": [["cd(folder='a')", "cp(source='x')"], ["send_message(to='Ann')"]]}}


def test_each_call_is_a_decision_and_each_turn_ends_with_an_answer(tmp_path):
    examples = list(bfcl.make_examples(TASKS, ANSWERS))
    assert [one["label"] for one in examples] == ["cd", "cp", bfcl.ANSWER_USER, "send_message", bfcl.ANSWER_USER]
    assert [one["input"]["called_this_turn"] for one in examples][:3] == ["nothing", "cd", "cd cp"]
    assert examples[3]["input"]["called_before"] == "cd cp"
    file = tmp_path / "bfcl.jsonl"
    file.write_text("\n".join(map(json.dumps, examples)), encoding="utf-8")
    read = list(read_decisions(file).decisions)
    assert [one.action for one in read] == [one["label"] for one in examples]
    assert {one.episode for one in read} == {"task_0"}


def test_a_conversation_is_read_as_a_log_of_chat_completions(tmp_path):
    steps = [({"line_status": "Suspended"}, "resume_line"), ({"line_status": "Active"}, "reboot_device")]
    lines = list(telecom.make_lines("task", "no service", steps, ["reboot_device", "resume_line"]))
    file = tmp_path / "log.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    reading = read_decisions(file)
    first, second = reading.decisions
    assert reading.format == "openai"
    assert (first.action, second.action) == ("resume_line", "reboot_device")
    assert first.episode == second.episode == "task"
    assert first.state["called"] == [telecom.LOOK]
    assert "Suspended" in first.state["result"]
    assert second.state["called"] == [telecom.LOOK, "resume_line"]
    assert "Active" in second.state["result"]
    assert "Suspended" not in str(second.state)
