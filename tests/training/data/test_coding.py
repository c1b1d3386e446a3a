"""Which fields become codes, and by which bins."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from aegis.config import ReinforceConfig, TrainingConfig
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.training import ImitationTrainer, ReinforceTrainer, Transition
from aegis.training.data import coding
from aegis.types import Action, Decision


def measured(count: int, seed: int = 0, fields: int = 3) -> list[Decision]:
    """Return decisions by the first of some numbers."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        readings = [round(rng.gauss(0, 10.0**place), 4) for place in range(fields)]
        state = {"readings": readings, "about": "a pump", "spare": number % 4}
        name = ("web_search", "ask_human", "idle")[(readings[0] > -0.5) + (readings[0] > 0.5)]
        actions = ("web_search", "ask_human", "idle")
        found.append(Decision(f"e{number // 5}", number % 5, state, actions, Action(name), None, "t"))
    return found


def test_bins_hold_about_as_many_numbers_each_and_few_numbers_have_a_bin_each():
    numbers = np.random.default_rng(0).lognormal(size=1000)
    bounds = coding.bin_bounds(numbers.tolist())
    assert len(bounds) == coding.BINS + 1
    counts = np.histogram(numbers, bounds)[0]
    assert counts.min() > 0.9 * 1000 / coding.BINS
    assert coding.bin_bounds([3, 1, 2, 2]) == (1.0, 2.0, 3.0)


def test_numbers_are_read_as_codes_by_themselves_where_many_fields_need_bins():
    codec = StateCodec()
    for fields, chosen in ((3, True), (2, False)):
        decisions = measured(100, fields=fields)
        found = coding.code_fields(codec, "auto", decisions, range(100), 3)
        assert (found.codes is not None) == chosen
        assert coding.code_fields(codec, "text", decisions, range(100), 3) == codec
        assert coding.code_fields(codec, "bins", decisions, range(100), 3).codes is not None


def test_bins_are_fitted_on_the_rows_given_alone():
    decisions = measured(100)
    wild = decisions[:50] + [replace(one, state={"readings": [1e9] * 3}) for one in decisions[50:]]
    fitted = [coding.code_fields(StateCodec(), "auto", given, range(50), 3) for given in (decisions, wild)]
    assert fitted[0] == fitted[1]
    assert fitted[0].codes is not None
    assert max(max(bounds) for bounds in fitted[0].codes.numbers.values()) < 1e9


def test_rare_fields_long_values_and_excluded_fields_get_no_code():
    states = [{"a": number, "text": "long " * 20 * (number % 2), "kind": "xy"[number % 2]} for number in range(100)]
    codes = coding.fit_codes([*states[:40], *({**one, "b": 1.5} for one in states[40:60]), *states[60:]], 9, 3, True)
    assert codes is not None
    assert (list(codes.numbers), list(codes.values)) == (["a"], ["kind"])
    assert coding.fit_codes([{"kind": "x"}] * 5, 9, 3) is None
    excluding = StateCodec(exclude=("readings",))
    found = coding.code_fields(excluding, "bins", measured(100), range(100), 3)
    assert found.codes is not None
    assert list(found.codes.numbers) == ["spare"]


def test_at_most_half_of_the_tokens_are_codes():
    states = [{f"n{place}": number + place for place in range(50)} for number in range(20)]
    decisions = [replace(measured(1)[0], state=state) for state in states]
    found = coding.code_fields(StateCodec(40), "bins", decisions, range(20), 3)
    assert found.codes is not None
    assert len(found.codes.numbers) == found.codes.slots == 18
    assert len(found.encode(states[0])) <= 40


@pytest.fixture
def config() -> TrainingConfig:
    return TrainingConfig(
        epochs=3, batch_size=16, learning_rate=3e-3, bf16=False, checkpoint_every_epochs=1, max_tokens=64
    )


def test_a_training_on_numbers_fits_its_bins_and_goes_on_with_them_after_a_kill(actions, tiny_config, config, tmp_path):
    train, heldout = measured(120), measured(40, seed=1)
    model = replace(tiny_config, dropout=0.0)
    run = ImitationTrainer(actions, config, model).train(train, heldout, tmp_path)
    assert run.policy.codec.codes == coding.code_fields(StateCodec(64), "auto", train, range(120), 3).codes
    last = tmp_path / "epoch-003"
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    again = ImitationTrainer(actions, config, model).train(train, heldout, tmp_path, resume=True)
    assert again.resumed_after == 2
    states = [one.state for one in heldout]
    assert np.array_equal(again.policy.think(states)[0], run.policy.think(states)[0])


def test_a_training_that_began_with_numbers_as_text_goes_on_so(actions, tiny_config, config, tmp_path):
    train, heldout = measured(40), measured(20, seed=1)
    ImitationTrainer(actions, replace(config, epochs=1, numbers="text"), tiny_config).train(train, heldout, tmp_path)
    again = ImitationTrainer(actions, replace(config, epochs=1), tiny_config).train(train, heldout, tmp_path, True)
    assert again.resumed_after == 1
    assert again.policy.codec.codes is None


def test_phase_4_learns_from_states_with_codes_and_undoes_a_refused_update(actions, tiny_config):
    decisions = measured(24)
    codec = coding.code_fields(StateCodec(64), "auto", decisions, range(24), 3)
    torch.manual_seed(0)
    policy = HRMPolicy(HRM(replace(tiny_config, dropout=0.0)), codec, actions)
    imitation = HRMPolicy(HRM(replace(tiny_config, dropout=0.0)), codec, actions)
    imitation.model.load_state_dict(policy.model.state_dict())
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    trainer = ReinforceTrainer(
        policy.model, imitation.model, codec, policy.outputs, 1.0, ReinforceConfig(bf16=False), seed=0
    )
    drawn = policy.think([one.state for one in decisions])[0].tolist()
    steps = [
        Transition(one.state, place % 3, shares, float(place % 3 == 0))
        for place, (one, shares) in enumerate(zip(decisions, drawn, strict=True))
    ]
    result = trainer.update([steps], check=lambda: "refused")
    assert result.fault == "refused"
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.model.state_dict().items())
    trainer.update([steps])
    rows = codec.codes.table.rows
    assert not torch.equal(before["token_embedding.weight"][rows], policy.model.token_embedding.weight[rows])
