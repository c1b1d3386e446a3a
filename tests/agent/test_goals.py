from __future__ import annotations

import random

import pytest

from aegis.agent.goals import KINDS, GoalBook


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
