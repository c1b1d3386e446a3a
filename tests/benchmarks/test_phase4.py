"""The benchmark of phase 4: its controls learn, a killed run continues, and its intervals allow for both samples."""

from __future__ import annotations

import json
from argparse import Namespace

import numpy as np
import pytest

from aegis.config import AgentConfig
from aegis.lifecycle.rl.measurement import Measured, measure, places_of
from aegis.research import RESEARCH_ACTIONS, Worlds
from aegis.research.environment import ResearchEnv
from aegis.research.search import SearchHit
from aegis.research.world import KINDS
from aegis.types import Action, Decision
from benchmarks.phase4.__main__ import Bench, run, todo
from benchmarks.phase4.controls import AskingRule, LinearPolicy, PPOPolicy, fields_of, learn_linear, make_ppo
from benchmarks.phase4.promotion import normal, promoted
from benchmarks.phase4.table import PHASE_4, interval, read, table

IDLING_PAYS = AgentConfig(rewards={"idle": 1.0, "per_item": -1.0})


class Library:
    name = "library"

    def search(self, query, limit):
        return [SearchHit(query, f"About {query}.", "docs", "things")]


@pytest.fixture
def worlds():
    worlds = Worlds(Library(), ["json", "csv"], IDLING_PAYS)
    worlds.kinds = KINDS
    return worlds


def imitated(worlds):
    """Return decisions of a teacher that searches as long as a search is offered, and idles else."""
    decisions = []
    with worlds.begin(1) as world:
        for number in range(60):
            situation = world.observe()
            action = "idle" if number % 3 else "web_search"
            step = world.act_as(situation, action)
            offered = any(option.startswith("search") for option in situation.state["options"])
            taken = Action("web_search" if offered else "idle")
            decisions.append(Decision("e", number, step.decision.state, RESEARCH_ACTIONS.names, taken, None, "t"))
    return decisions


def test_the_linear_policy_begins_with_imitation_and_learns_what_pays(worlds):
    decisions = imitated(worlds)
    policy = LinearPolicy.imitate(decisions)
    same = [
        choice.action == one.action.name
        for choice, one in zip(policy.decide([d.state for d in decisions], RESEARCH_ACTIONS), decisions, strict=True)
    ]
    assert sum(same) / len(same) > 0.9
    before = measure(policy, RESEARCH_ACTIONS, worlds, places_of(worlds, [5, 6]), 20)
    learn_linear(policy, worlds, 250, 7, rate=1.0)
    after = measure(policy, RESEARCH_ACTIONS, worlds, places_of(worlds, [5, 6]), 20)
    assert after.mean > before.mean + 0.5
    assert fields_of([decisions[0].state]).shape == (1, policy.weights.shape[0])


def test_ppo_begins_with_imitation_and_learns(worlds):
    decisions = imitated(worlds) * 4
    environment = ResearchEnv(IDLING_PAYS, Library(), ["json", "csv"])
    model = make_ppo(environment, decisions, 3, n_steps=40, batch_size=20, n_epochs=1)
    chosen = PPOPolicy(model).decide([one.state for one in decisions], RESEARCH_ACTIONS)
    assert np.mean([a.action == b.action.name for a, b in zip(chosen, decisions, strict=True)]) > 0.9
    model.learn(40)
    assert model.num_timesteps == 40


def test_the_asking_rule_asks_somebody_who_is_here_and_searches_first():
    def choose(human, *options):
        (choice,) = AskingRule().decide([{"human": human, "options": [*options, "idle"]}], RESEARCH_ACTIONS)
        return choice.action

    assert choose("here", "ask: What? The human is here", "propose: better") == "ask_human"
    assert choose("away", "ask: What? The human is away") == "idle"
    assert choose("here", "search: What?", "ask: What? The human is here") == "web_search"


class Fixed(Bench):
    """Stands for the benchmark's policies: counts what is made."""

    killed = False

    def __init__(self, options):
        self.made = options.made

    def prepare(self):
        """Nothing is to be prepared."""

    def make(self, name, training):
        self.made.append((name, training))
        if len(self.made) == 7 and not Fixed.killed:
            Fixed.killed = True
            raise KeyboardInterrupt
        return name, {"updates": 3}

    def measured(self, policy):
        mean = 0.5 if policy == PHASE_4 else 0.3
        means = tuple(mean + 0.01 * number for number in range(4))
        return Measured(means, {"web_search": 30, "idle": 10}, ("nobody", "people") * 2, (0, 5, 0, 5), (0, 4, 0, 3))


def test_a_killed_benchmark_continues_with_what_is_left_and_shows_what_there_is(tmp_path):
    options = Namespace(into=tmp_path / "f", development=False, trainings=3, processes=1, only=None, made=[])
    with pytest.raises(KeyboardInterrupt):
        run(options, Fixed)
    path = tmp_path / "f" / "results.jsonl"
    with path.open("a") as file:
        file.write('{"policy": "phase 4", "trai')  # a line that a kill cut off
    path.write_text(path.read_text() + "\n")
    partial = table(path)
    assert any(line.startswith("| phase 4 | 3 | +0.515") for line in partial)
    first = list(options.made)
    options.made.clear()
    run(options, Fixed)
    assert first[-1] == options.made[0] == ("rule that asks", 0)
    assert len(first) - 1 + len(options.made) == len(list(todo(3)))
    lines = table(path)
    assert any(line.startswith("| phase 4 over imitation | +0.200 (+0.200 to +0.200)") for line in lines)
    assert any("| 70.0% | 75.0%, 0.0%, 0.0%, 25.0% |" in line for line in lines)


def test_several_processes_share_the_trainings_and_each_is_carried_out_once(tmp_path):
    options = Namespace(into=tmp_path, development=False, trainings=4, processes=3, only=None, made=[])
    Fixed.killed = True
    path = run(options, Fixed)
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) == len(read(path)) == len(list(todo(4)))


def test_the_table_tells_which_trainings_the_judgement_lets_serve(tmp_path):
    def record(name, training, gain, answered):
        means = [0.1 * (number % 5) + gain + 0.001 * number * (gain > 0) for number in range(8)]
        measured = {"means": means, "actions": {"idle": 8}, "kinds": ["nobody", "people"] * 4}
        measured |= {"called_for": [0, 9] * 4, "answered": [0, answered] * 4}
        return json.dumps({"policy": name, "training": training, "measured": measured})

    path = tmp_path / "results.jsonl"
    lines = [record("imitation", 0, 0.0, 6), record(PHASE_4, 0, 0.2, 6), record(PHASE_4, 1, 0.2, 0)]
    path.write_text("\n".join([*lines, record(PHASE_4, 2, -0.2, 9)]) + "\n")
    verdicts = [line.rsplit("|", 2)[1].strip() for line in table(path)[-3:]]
    assert verdicts[0] == "serves"
    assert "surely asks less" in verdicts[1]
    assert "surely earns less" in verdicts[2]


def test_the_interval_covers_both_trainings_and_worlds():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        trained = rng.normal(0, 0.5, (10, 1)) + rng.normal(0, 0.5, 12) + rng.normal(0, 1, (10, 12))
        shared = rng.normal(0, 3, 12)  # some worlds are richer than others, for every policy
        _, low, high = interval(trained + shared, shared[None])
        covered += low <= 0 <= high
    assert covered / 400 >= 0.94
    assert interval(np.array([[1.0, 2.0, 3.0]]))[0] == 2.0


def test_versions_without_a_gain_are_promoted_in_five_percent_however_often_it_is_tried():
    differences = normal(np.random.default_rng(1), (4000, 20, 10))
    shared, plain = (promoted(differences, spend).any(axis=1).mean() for spend in (True, False))
    assert shared < 0.06 < 0.3 < plain
