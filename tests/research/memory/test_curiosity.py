from __future__ import annotations

import pytest

from aegis.research.memory.curiosity import Curiosity
from aegis.research.memory.knowledge import KnowledgeBase, KnowledgeItem


@pytest.fixture
def curiosity(database) -> Curiosity:
    return Curiosity(database, questions_per_item=2, open_limit=3)


def texts(curiosity, goal="g"):
    return [question.text for question in curiosity.open_questions(goal)]


def test_a_question_is_raised_once_in_whatever_words_spacing_and_goal(curiosity, clock):
    assert curiosity.raise_question("What is WAL mode?", "g", "e", "test", clock())
    assert not curiosity.raise_question("what is  wal\nmode?", "g", "e", "test", clock())
    assert not curiosity.raise_question("What is WAL mode?", "other", "e", "test", clock())
    curiosity.end_question(curiosity.find("What is WAL mode?").id, clock(), answered=True)
    assert not curiosity.raise_question("What is WAL mode?", "g", "e", "test", clock())
    assert texts(curiosity) == []


def test_a_goal_has_no_more_open_questions_than_its_limit(curiosity, clock):
    raised = [curiosity.raise_question(f"What is number {n}?", "g", "e", "test", clock()) for n in range(5)]
    assert raised == [True] * 3 + [False] * 2
    assert curiosity.raise_question("What is number 3?", "other", "e", "test", clock())


def test_a_passage_raises_questions_on_its_terms_and_not_on_its_title(curiosity, clock):
    text = "JSONDecoder and JSONEncoder and JSONDecodeError stand beside JSONThing."
    assert curiosity.raise_from_text("JSONDecoder", text, "g", "e", clock()) == 2
    assert texts(curiosity) == ["What is JSONEncoder?", "What is JSONDecodeError?"]


def test_the_question_least_searched_for_comes_first_then_the_oldest(curiosity, clock):
    for name in "abc":
        curiosity.raise_question(f"What is {name}?", "g", "e", "test", clock())
    curiosity.count_search(curiosity.find("What is a?").id)
    assert texts(curiosity) == ["What is b?", "What is c?", "What is a?"]
    assert curiosity.find("what is A?").searches == 1


def test_only_answered_questions_count_as_closed(curiosity, clock):
    for name in "abc":
        curiosity.raise_question(f"What is {name}?", "g", "e", "test", clock())
    curiosity.end_question(curiosity.find("What is a?").id, clock(), answered=True)
    curiosity.end_question(curiosity.find("What is b?").id, clock(), answered=False)
    assert curiosity.closed_count("g") == 1
    assert texts(curiosity) == ["What is c?"]
    assert curiosity.find("What is a?") is None


def test_terms_for_which_there_is_no_room_are_kept_as_gaps_and_asked_about_later(curiosity, clock):
    text = "JSONDecoder and JSONEncoder and JSONDecodeError stand beside JSONThing."
    assert curiosity.raise_from_text("page", text, "g", "e", clock(), topic="json") == 2
    assert curiosity.raise_from_gaps("other", "later", "e", clock()) == 0
    assert curiosity.raise_from_gaps("json", "later", "e", clock()) == 2
    assert texts(curiosity, "later") == ["What is JSONDecodeError?", "What is JSONThing?"]
    assert curiosity.raise_from_gaps("json", "later", "e", clock()) == 0


def test_a_goal_takes_no_more_gaps_than_it_has_room_for(curiosity, clock):
    names = [f"JSONThing{n}" for n in range(8)]
    curiosity.raise_from_text("page", " and ".join(names), "g", "e", clock(), topic="json")
    assert curiosity.raise_from_gaps("json", "later", "e", clock()) == 3
    assert curiosity.raise_from_gaps("json", "another", "e", clock()) == 3


def test_a_term_that_is_known_or_was_asked_about_is_no_gap(curiosity, database, clock):
    KnowledgeBase(database).add(KnowledgeItem("json", "jsondecoder", "It decodes.", "docs"), "g", clock())
    curiosity.raise_question("What is JSONEncoder?", "g", "e", "test", clock())
    text = "JSONDecoder and JSONEncoder stand beside each other."
    assert curiosity.raise_from_text("page", text, "h", "e", clock(), topic="json") == 0
    assert curiosity.raise_from_gaps("json", "later", "e", clock()) == 0


def test_a_gap_that_was_learned_meanwhile_is_not_asked_about(curiosity, database, clock):
    text = " and ".join(f"JSONThing{n}" for n in range(4))
    curiosity.raise_from_text("page", text, "g", "e", clock(), topic="json")
    KnowledgeBase(database).add(KnowledgeItem("json", "JSONThing2", "A thing.", "docs"), "g", clock())
    curiosity.raise_from_gaps("json", "later", "e", clock())
    assert texts(curiosity, "later") == ["What is JSONThing3?"]
    statuses = dict(database.query("SELECT term, status FROM gaps"))
    assert statuses == {"JSONThing2": "known", "JSONThing3": "asked"}
