"""The share to be had at a promised agreement: what it rests on, and that its bounds hold."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aegis.experiments.scan import forecast, model
from aegis.experiments.scan.sample import Row, make_row
from aegis.types import unheard


def rows_of(count: int, noise: float, seed: int = 0, per_episode: int = 10) -> list[Row]:
    """Return decisions that `colour` settles where `sure` is yes; elsewhere a share of them is drawn."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        colour, sure = rng.choice(["red", "green"]), rng.random() < 0.6
        right = sure or rng.random() >= noise
        action = {"red": "stop", "green": "go"}[colour] if right else rng.choice(["stop", "go"])
        state = {"colour": colour, "sure": "yes" if sure else "no", "note": rng.choice("abcdefgh") * 3}
        rows.append(make_row(state, action, number // per_episode))
    return rows


def test_the_forecast_finds_the_share_that_can_be_had():
    found = forecast.make_forecast(rows_of(1500, noise=1.0), unheard)
    level = found.levels[1]
    assert 0.5 < level.share <= level.hindsight < 0.75  # three fifths are sure, and some guesses are right
    assert level.agreement is not None
    assert level.agreement > 0.95
    assert level.more is None
    assert found.trained + found.bounded == 1500
    assert found.share_range[0] <= level.share <= found.share_range[1]


def test_where_all_is_noise_nothing_can_be_had():
    rng = random.Random(1)
    rows = [make_row({"note": rng.choice("abcdefgh")}, rng.choice("xy"), n // 10) for n in range(600)]
    found = forecast.make_forecast(rows, unheard)
    assert [(one.share, one.decided, one.agreement, one.more) for one in found.levels] == [(0.0, 0, None, None)] * 3
    assert max(one.hindsight for one in found.levels) < 0.2


def test_the_range_is_wide_where_a_few_errors_decide_whether_the_promise_is_kept():
    def answers(errors: int) -> forecast.Answered:
        """Return 400 answers, 20 an episode, of which these of 100 are wrong, however sure."""
        rng = np.random.default_rng(errors)
        sure = np.linspace(0.9, 0.6, 400)
        labels = (np.arange(400) % 100 < errors).astype(int)
        order = rng.permutation(400)
        return forecast.Answered.of(np.stack([sure, 1 - sure], axis=1), labels[order], (np.arange(400) % 20).tolist())

    edge, clear = (forecast.draw_range(answers(errors)) for errors in (2, 0))
    assert edge[0] < 0.3
    assert edge[1] > 0.9
    assert clear == (1.0, 1.0)


def test_an_episode_that_is_drawn_twice_counts_as_two():
    answered = forecast.Answered(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), np.array([0, 0, 1]))
    drawn = [answered.draw(np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.array_equal(np.unique(one.episodes), [0, 1]) for one in drawn)
    assert {len(one.right) for one in drawn} == {2, 3, 4}


@pytest.mark.parametrize("name", [name for name in model.MODELS if name != "the commonest action"])
def test_each_model_learns_what_a_field_settles(name):
    rows = rows_of(400, noise=0.0)
    actions = ["go", "stop", "wait"]
    found = model.MODELS[name](rows[:200], rows[200:], actions)
    assert found.shape == (200, 3)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-6)
    right = [actions[k] == row.action for k, row in zip(found.argmax(axis=1), rows[200:], strict=True)]
    assert np.mean(right) > 0.99


@pytest.mark.parametrize("name", model.MODELS)
def test_each_model_answers_where_states_are_alike_and_where_one_action_is_known(name):
    alike = [make_row({"user": "hi"}, "ab"[n % 3 == 0], n) for n in range(30)]
    found = model.MODELS[name](alike, alike[:2], ["a", "b"])
    assert found.argmax(axis=1).tolist() == [0, 0]
    one = [make_row({"user": f"text {n}"}, "a", n) for n in range(30)]
    assert model.MODELS[name](one, one[:1], ["a", "b"]).argmax() == 0


def test_a_hundred_actions_are_learned_in_a_moment():
    rng = random.Random(0)
    rows = [make_row({"user": f"please do task{k} {rng.random()}"}, f"do{k}", k) for k in range(100) for _ in range(5)]
    actions = sorted({row.action for row in rows})
    found = model.words_regression(rows, rows[::5], actions)
    assert np.mean([actions[k] == row.action for k, row in zip(found.argmax(1), rows[::5], strict=True)]) == 1


def test_among_many_rare_actions_the_closer_fit_is_picked_and_takes_more(monkeypatch):
    rng = random.Random(0)
    rows = []
    for number in range(400):
        task, action = rng.randrange(40), "answer" if rng.random() < 0.5 else ""
        words = [f"task{task}", "done" if action else "open", *(f"w{rng.randrange(100)}" for _ in range(10))]
        rng.shuffle(words)
        rows.append(make_row({"user": " ".join(words)}, action or f"do{task}", number // 5))
    names = ["regression on words and pairs", "regression on words and pairs, fitted closer"]
    monkeypatch.setattr(forecast, "MODELS", {name: model.MODELS[name] for name in names})
    found = forecast.make_forecast(rows, unheard)
    assert found.best == names[1]
    strong, close = (one.agreement for one in found.models)
    assert close > strong + 0.05


def test_a_confidence_is_the_lead_over_the_second_action():
    words = {"go": "run walk move", "stop": "halt end stay"}
    rows = [make_row({"user": f"{words[action]} x{n}"}, action, n) for n in range(40) for action in words]
    asked = [make_row({"user": text}, "go", 0) for text in ("run walk move", "run walk halt", "run halt")]
    clear, mixed, torn = model.close_pairs_regression(rows, asked, ["go", "stop"]).max(axis=1)
    assert clear > mixed > torn


def test_no_decision_is_judged_by_a_model_that_saw_its_episode():
    rows = rows_of(200, noise=0.0)
    seen = []

    def spy(train, asked, actions):
        seen.append(({row.episode for row in train}, {row.episode for row in asked}, len(asked)))
        return np.full((len(asked), len(actions)), 0.5)

    forecast.out_of_fold(spy, rows, ["go", "stop"])
    assert len(seen) == forecast.FOLDS
    assert sum(count for _, _, count in seen) == 200
    assert all(not train & asked for train, asked, _ in seen)
    larger, smaller = forecast.split(rows)
    assert not {row.episode for row in larger} & {row.episode for row in smaller}
    assert 0.2 <= len(smaller) / 200 <= 0.4
