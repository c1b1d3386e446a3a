from __future__ import annotations

import random

import pytest

from aegis.errors import ConfigError
from aegis.research.memory.curiosity import Curiosity
from aegis.research.memory.goals import KINDS, WINDOW, GoalBook, read_goals
from aegis.store import Database


@pytest.fixture
def book(database) -> GoalBook:
    return GoalBook(database, ["sqlite3", "json"], random.Random(0))


def test_goals_of_all_six_kinds_are_drawn_on_all_topics(book, clock):
    drawn = [book.draw("e", clock()) for _ in range(100)]
    assert {goal.kind for goal, _ in drawn} == set(KINDS)
    assert len(KINDS) == 6
    assert {goal.topic for goal, _ in drawn} == {"sqlite3", "json"}
    for goal, questions in drawn:
        assert goal.topic in goal.title
        assert questions
        assert all(goal.topic in question and question.endswith("?") for question in questions)
        assert 0 <= goal.priority <= 1


def test_the_most_important_active_goal_of_the_episode_comes_first(book, clock):
    goals = [book.draw("e", clock())[0] for _ in range(5)]
    book.draw("another episode", clock())
    active = book.active("e")
    assert sorted(goals, key=lambda goal: -goal.priority) == active
    book.close(active[0], clock(), reached=True)
    book.close(active[1], clock(), reached=False)
    assert book.active("e") == active[2:]


@pytest.mark.parametrize(("topics", "window"), [(1, 3), (2, 6), (9, 27), (17, 50), (300, WINDOW)])
def test_no_goal_is_drawn_again_within_the_window(path, clock, topics, window):
    with Database(path) as database:
        names = [f"topic {number}" for number in range(topics)]
        drawn = []
        for restart in range(4):  # the window is the workspace's, whichever agent draws
            book = GoalBook(database, names, random.Random(restart))
            assert book.window == window
            drawn += [book.draw("e", clock())[0] for _ in range(80)]
    pairs = [(goal.kind, goal.topic) for goal in drawn]
    for place, pair in enumerate(pairs):
        assert pair not in pairs[max(0, place - window) : place]


def test_goals_can_be_looked_at_with_what_became_of_their_questions(book, database, clock):
    curiosity = Curiosity(database, questions_per_item=1, open_limit=5)
    old, _ = book.draw("e", clock())
    new, _ = book.draw("e", clock())
    for name in "abcd":
        curiosity.raise_question(f"What is {name}?", new.id, "e", "test", clock())
    curiosity.end_question(curiosity.find("What is a?").id, clock(), answered=True)
    curiosity.end_question(curiosity.find("What is b?").id, clock(), answered=False)
    book.close(old, clock(), reached=True)
    views = read_goals(database, 5)
    assert [view.goal for view in views] == [new, old]
    assert (views[0].status, views[0].closed, views[0].open, views[0].abandoned) == ("active", 1, 2, 1)
    assert (views[1].status, views[1].open) == ("reached", 0)
    assert read_goals(database, 1) == views[:1]


def test_goals_without_topics_say_what_to_do(database):
    with pytest.raises(ConfigError, match="choose another --search"):
        GoalBook(database, [], random.Random(0))
