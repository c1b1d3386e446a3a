from __future__ import annotations

from aegis.teachers.prompt import content_free_state, render_instructions, render_situation
from aegis.types import ActionList, ActionSpec

ACTIONS = ActionList((ActionSpec("web_search", "search", "look it up."), ActionSpec("idle", "wait", "do nothing.")))


def test_the_prompt_has_the_actions_then_the_state_then_the_question():
    prompt = render_instructions(ACTIONS) + render_situation({"human": True, "goals": ["a", "b"]})
    assert prompt == (
        "The agent looks at its situation and takes the one best next action.\n"
        "search: look it up.\n"
        "wait: do nothing.\n"
        "\nSituation:\n"
        "goals: a; b\n"
        "human: yes\n"
        "Best action:"
    )


def test_a_content_free_state_keeps_the_form_without_content():
    state = {"goals": ["a", "b"], "none": [], "waiting": {"answers": 3, "deep": {"x": [1]}}, "human": True}
    assert content_free_state(state, "N/A") == {
        "goals": ["N/A"],
        "none": ["N/A"],
        "waiting": {"answers": "N/A", "deep": {"x": ["N/A"]}},
        "human": "N/A",
    }
    assert state["goals"] == ["a", "b"]
