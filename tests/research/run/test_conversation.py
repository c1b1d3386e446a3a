"""What a person asks and tells arrives in the agent's memory, as data."""

from __future__ import annotations

import pytest

from aegis.errors import ActionError
from aegis.lifecycle import open_store
from aegis.research.run import conversation
from aegis.types import utc_now


@pytest.fixture
def database(workspace):
    with open_store(workspace) as store:
        yield store.database


def test_a_fact_is_kept_once_and_found_by_its_words(database):
    assert conversation.tell(database, "The sky is blue\x1b[31m at noon", utc_now())
    assert not conversation.tell(database, "The sky is blue\x1b[31m at noon", utc_now())
    conversation.tell(database, "Grass is green", utc_now())
    (known,) = conversation.find_knowledge(database, "what is the SKY?")
    item = known.item
    assert (item.text, item.source) == ("The sky is blue[31m at noon", "person")
    assert conversation.find_knowledge(database)[0].item.text == "Grass is green"
    assert conversation.find_knowledge(database, "100%_\\ oxygen") == []


def test_a_question_becomes_the_most_important_goal_once(database):
    assert conversation.ask(database, "What is WAL?", utc_now())
    assert not conversation.ask(database, "what is wal?", utc_now())
    (view,) = conversation.recent_goals(database)
    assert (view.goal.title, view.goal.priority) == ("Answer a person: What is WAL?", 1.0)
    assert (view.open, view.status, view.progress(4)) == (1, "active", 0.0)


def test_the_goals_of_a_person_move_to_the_next_episode_and_other_goals_stay(database):
    conversation.ask(database, "What is WAL?", utc_now())
    conversation.adopt_goals(database, "episode-2")
    assert database.query("SELECT episode FROM goals")[0]["episode"] == "episode-2"


@pytest.mark.parametrize("say", [conversation.ask, conversation.tell])
def test_an_empty_line_is_refused_with_an_example(database, say):
    with pytest.raises(ActionError, match=r"e\.g\."):
        say(database, " \x00 ", utc_now())
