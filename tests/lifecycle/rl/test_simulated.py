"""Phase 4 in simulated worlds, by a small HRM that searches, where idling pays."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aegis.config import AgentConfig, HRMConfig, ReinforceConfig
from aegis.errors import ConfigError
from aegis.hrm import HRM, HRMPolicy, StateCodec, base_of, kept_of, load_version, read_tensors
from aegis.lifecycle import SimulationPlan, improve, open_store
from aegis.lifecycle.policies.keeping import load_whole
from aegis.lifecycle.rl import simulated
from aegis.lifecycle.rl.measurement import Measured, Place, measure
from aegis.lifecycle.rl.pace import Pace
from aegis.lifecycle.rl.version import LEARNER_FILE
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS, Worlds
from aegis.research.run import make_worlds
from aegis.store import ImprovementLog
from aegis.training import ReinforceTrainer
from aegis.types import Choice

TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=1)
IDLING_PAYS = AgentConfig(rewards={"idle": 1.0, "per_item": -1.0})
FAST = ReinforceConfig(
    window=10, passes=3, learning_rate=3e-3, temperature=1.0, discount=0.0, kl=0.0, kl_bound=0.2, bf16=False
)


@pytest.fixture
def serving(workspace):
    with open_store(workspace) as store:
        torch.manual_seed(0)
        ModelRegistry(store, workspace).promote(HRMPolicy(HRM(TINY), StateCodec(64), RESEARCH_ACTIONS).save_as)
        yield store


def test_simulated_learning_finds_what_pays_and_a_version_that_earns_surely_more_serves(
    workspace, serving, make_search
):
    stages = []
    plan = SimulationPlan(150, FAST, worlds=4, world_decisions=15, first_measured=1_000_000_007)
    found = improve(
        serving,
        workspace,
        make_worlds(serving, make_search(), IDLING_PAYS, 0),
        plan,
        tick=lambda stage, done, result: stages.append((stage, done)),
    )
    assert found.measured_after.mean > found.measured_before.mean
    assert sum(done for stage, done in stages if stage == "learning") == 150
    assert {stage for stage, _ in stages} == {"before", "learning", "after"}
    registry = ModelRegistry(serving, workspace)
    assert found.gain.low > 0
    assert registry.serving().name == found.model == "hrm@2"
    assert base_of(registry.serving().folder) == registry.base_of("hrm@2") == "hrm@1"
    version = registry.models()[-1]
    assert version.promoted_by == "improvement"
    assert "never learned in" in version.reason
    assert version.figures["improvement"]["after"]["mean"] == found.measured_after.mean
    curve = ImprovementLog(serving.database).all("hrm@1")
    assert len(curve) == found.updates > 8
    assert curve[-1].learned <= 150


def test_what_is_kept_stays_taken_though_another_action_earns_more_and_is_recorded_with_the_version(
    workspace, serving, make_search
):
    keep = tuple(f"{name} where human=here" for name in RESEARCH_ACTIONS.names)  # whatever it does before
    worlds = make_worlds(serving, make_search(), IDLING_PAYS, 0, people=True)
    found = improve(
        serving, workspace, worlds, SimulationPlan(60, replace(FAST, keep=keep), worlds=2, world_decisions=10)
    )
    folders = [workspace.models / name for name in ("hrm@1", found.model)]
    assert [tuple(map(str, kept_of(folder))) for folder in folders] == [(), keep]
    base, improved = (load_whole(folder, load_version) for folder in folders)
    for human, same in (("here", True), ("away", False)):
        (one,), (other,) = (policy.decide([{"human": human}], RESEARCH_ACTIONS) for policy in (base, improved))
        assert (one.probabilities == pytest.approx(other.probabilities, abs=1e-6)) is same


def test_a_version_that_earns_no_more_is_kept_and_does_not_serve(workspace, serving, make_search):
    config = ReinforceConfig(learning_rate=1e-12, temperature=1.0, bf16=False)
    worlds = make_worlds(serving, make_search(), lived=10)
    found = improve(serving, workspace, worlds, SimulationPlan(20, config, worlds=2, world_decisions=4))
    registry = ModelRegistry(serving, workspace)
    assert found.serving is None
    assert registry.serving().name == "hrm@1"
    assert [version.name for version in registry.models()] == ["hrm@1", "hrm@2"]
    assert found.gain.mean == 0


def test_the_best_version_on_the_way_is_kept_with_its_own_optimizer_value_head_and_counts(
    workspace, serving, make_search, monkeypatch
):
    earned, seen = iter([0.1, 0.2, 0.9, 0.4, 0.3]), []  # before, after 10, 20 and 30 decisions, after the learning

    def earn(policy, actions, worlds, places, *given):
        mean = next(earned)
        seen.append({name: tensor.clone() for name, tensor in trainers[-1].tensors().items()})
        return Measured((mean,) * len(places), {"idle": len(places)})

    class Spied(ReinforceTrainer):
        def __init__(self, *given):
            super().__init__(*given)
            trainers.append(self)

    trainers: list[ReinforceTrainer] = []
    monkeypatch.setattr(simulated, "measure", earn)
    monkeypatch.setattr(simulated, "ReinforceTrainer", Spied)
    monkeypatch.setattr(simulated, "_COMPARED_EVERY", 10)
    worlds = make_worlds(serving, make_search(), IDLING_PAYS, lived=10)
    found = improve(serving, workspace, worlds, SimulationPlan(30, FAST, worlds=2, world_decisions=1))
    kept = read_tensors(workspace.models / found.model / LEARNER_FILE)
    best, last = seen[2], seen[-1]
    assert kept["counts"].tolist() == best["counts"].tolist() != last["counts"].tolist()
    assert all(torch.equal(kept[name], tensor) for name, tensor in best.items())
    assert any(not torch.equal(kept[name], tensor) for name, tensor in last.items() if name.startswith("value."))


def test_it_learns_and_is_measured_in_every_kind_of_world_and_each_measurement_has_fresh_ones(
    workspace, serving, make_search, monkeypatch
):
    begun = []
    begin = Worlds.begin

    def spied(self, seed, past=None, kind="nobody"):
        begun.append((seed, past, kind))
        return begin(self, seed, past, kind)

    monkeypatch.setattr(Worlds, "begin", spied)
    monkeypatch.setattr(simulated, "MIXED_DECISIONS", 10)
    config = ReinforceConfig(learning_rate=1e-12, temperature=1.0, bf16=False)
    worlds = make_worlds(serving, make_search(), lived=10, people=True)
    results = [
        improve(serving, workspace, worlds, SimulationPlan(20, config, worlds=2, world_decisions=8)) for _ in range(2)
    ]
    for found in results:
        assert found.measured_before.kinds == ("nobody", "people") * 2
        assert found.measured_before.decisions == 2 * 8
        assert len(found.measured_before.units) == 2
    learned = [(past, kind) for seed, past, kind in begun if seed >= 2_000_000_011]
    assert [kind for _, kind in learned] == ["nobody", "people"] * 2
    assert len({past for past, _ in learned}) == 1  # a world of each kind after the same past
    first, second = ({(found.first_measured or 0) + number for number in range(2)} for found in results)
    assert {seed for seed, past, _ in begun if past is None} == first | second
    assert not first & second
    assert [found.attempt for found in results] == [1, 2]


def test_without_an_hrm_that_serves_or_with_too_few_decisions_it_says_what_to_do(workspace, make_search):
    with open_store(workspace) as store, pytest.raises(ConfigError, match="run `aegis train` first"):
        improve(store, workspace, make_worlds(store, make_search()), SimulationPlan(100))
    with pytest.raises(ConfigError, match="--decisions: at least --rl-every"):
        SimulationPlan(5)


def test_the_same_seed_is_the_same_world(make_search):
    states = []
    for _ in range(2):
        with Worlds(make_search(), ["json", "csv"]).begin(7) as world:
            seen = []
            for place in (0, 2, 0, 1, 3, 0):
                action = RESEARCH_ACTIONS.names[place]
                situation = world.observe()
                seen.append(situation.state)
                world.act(situation, Choice((0.25,) * 4, action, "hrm@0"))
            states.append(seen)
    assert states[0] == states[1]


def test_a_late_reward_is_counted_where_it_belongs(make_search):
    class Asks:
        name, parameters = "asks", 0

        def decide(self, states, actions):
            return [Choice.best((0.0, 1.0, 0.0, 0.0), actions, self.name)] * len(states)

    places = [Place(1, "nobody"), Place(2, "nobody")]
    found = measure(Asks(), RESEARCH_ACTIONS, Worlds(make_search(), ["json", "csv"]), places, 30)
    assert found.mean < -0.05
    assert found.actions == {"ask_human": 60}


def test_with_a_limit_of_time_the_updates_that_fit_are_made_and_the_result_does_not_serve(
    workspace, serving, make_search
):
    clock = iter(range(10**6))  # a second for each look at it
    pace = Pace(40.0, lambda: next(clock))
    plan = SimulationPlan(150, FAST, worlds=4, world_decisions=200)
    found = improve(serving, workspace, make_worlds(serving, make_search(), IDLING_PAYS, 0), plan, pace=pace)
    assert 10 <= found.decisions < 150
    assert found.updates >= 1
    assert found.measured_before.decisions == found.measured_after.decisions < 4 * 200
    assert found.measured_before.decisions % (4 * 20) == 0
    assert found.serving is None
    registry = ModelRegistry(serving, workspace)
    assert registry.serving().name == "hrm@1"
    assert registry.models()[-1].figures["decisions"] == found.decisions


def test_worlds_may_share_a_past_and_differ_in_what_comes(make_search):
    lived = []
    worlds = Worlds(make_search(), ["json", "csv", "zlib"], lived=40, on_lived=lived.append)
    seen = []
    for seed in (1, 2):
        with worlds.begin(seed, past=1) as world:
            known = world.store.database.query("SELECT title FROM knowledge ORDER BY seq")
            seen.append(([row["title"] for row in known], world.observe().state))
    assert lived == list(range(1, 41))
    assert seen[0][0] == seen[1][0] != []
    assert seen[0][1] != seen[1][1]
