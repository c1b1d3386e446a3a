"""What is shown in lines is shown whole: a terminal wraps it, a pipe gets it on one line."""

from __future__ import annotations

from aegis.cli.follow import _print_line
from aegis.cli.prompt.command import PromptCommands
from aegis.cli.session import Session, SessionOptions
from aegis.lifecycle import RunEvent, open_store
from aegis.types import Action, Decision, Outcome
from aegis.workspace import Workspace

REASON = "the search failed: " + ", ".join(f"provider {number} was not reached" for number in range(15)) + ", the end"


def test_a_long_reason_is_not_cut_in_the_lines_of_an_agent_by_itself(capsys):
    fields = {"policy": "gpt2", "action": "web_search", "status": "failed", "reward": -0.2}
    _print_line(RunEvent("decided", f"web_search What is WAL?: {REASON}", fields))
    (line,) = capsys.readouterr().out.splitlines()
    assert f"{REASON} [failed, reward -0.20]" in line


def test_a_long_reason_is_not_cut_in_the_prompts_history(tmp_path, capsys):
    workspace = Workspace(tmp_path / "w")
    with open_store(workspace) as store:
        store.claim_teacher("scripted", 0, "a rule, no model")
        decision = Decision("e", 0, {}, ("idle", "x"), Action("idle"), None, "scripted")
        store.append(decision)
        store.record_outcome(Outcome(decision.id, "failed", detail=REASON))
        PromptCommands(Session(SessionOptions(workspace)), store, lambda question: False).carry_out("history")
    assert REASON in capsys.readouterr().out
