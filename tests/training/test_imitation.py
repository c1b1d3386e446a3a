from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from aegis.config import TrainingConfig
from aegis.errors import CheckpointError, DataError
from aegis.hrm import HRM, HRMPolicy, StateCodec, action_outputs
from aegis.training import ImitationTrainer, TrainingHooks, encode_decisions
from aegis.training.learner import Learner, choose_going_on, lead
from aegis.training.optimizer import HRMOptimizer
from aegis.types import Action, ActionList

CONFIG = TrainingConfig(
    epochs=6,
    learning_rate=3e-3,
    batch_size=8,
    checkpoint_every_epochs=2,
    seed=7,
    bf16=False,
    warmup_share=0.1,
    max_tokens=48,
)


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def killed_at_5(actions, tiny_config, learnable, tmp_path_factory):
    """Return the checkpoints of a training that was killed in its epoch 5. A test must copy them."""
    folder = tmp_path_factory.mktemp("killed") / "checkpoints"
    trainer = ImitationTrainer(actions, CONFIG, tiny_config, StateCodec(48), hooks=TrainingHooks(on_epoch=kill_at(5)))
    with pytest.raises(Killed):
        trainer.train(learnable[0], learnable[1], folder)
    return folder


@pytest.fixture(scope="module")
def unbroken(actions, tiny_config, learnable, tmp_path_factory):
    """Return a finished training, and the folder of its checkpoints. A test must copy them."""
    folder = tmp_path_factory.mktemp("unbroken") / "checkpoints"
    return ImitationTrainer(actions, CONFIG, tiny_config, StateCodec(48)).train(
        learnable[0], learnable[1], folder
    ), folder


@pytest.fixture
def train(actions, tiny_config, learnable, tmp_path):
    """Return a function that trains with changes of the configuration; `at` names the folder of the checkpoints."""

    def run(at="checkpoints", data=learnable, resume=False, on_epoch=None, codec=None, model_config=None, **changes):
        hooks = None if on_epoch is None else TrainingHooks(on_epoch=on_epoch)
        trainer = ImitationTrainer(
            actions, replace(CONFIG, **changes), model_config or tiny_config, codec or StateCodec(48), hooks=hooks
        )
        return trainer.train(data[0], data[1], tmp_path / at, resume)

    return run


def losses(run):
    return [result.loss for result in run.epochs]


def weights(run):
    return run.policy.model.state_dict()


def same_weights(one, other):
    return all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


def kill_at(epoch, told=None):
    def stop(result):
        (told if told is not None else []).append(result.epoch)
        if result.epoch == epoch:
            raise Killed

    return stop


def test_the_hrm_learns_a_rule_and_applies_it_to_unseen_decisions(train, learnable, actions):
    run = train(epochs=15, learning_rate=1e-2)
    assert [result.epoch for result in run.epochs] == list(range(1, 16))
    # The HRM begins by guessing among three actions, and learns during the first epoch.
    assert run.epochs[0].loss == pytest.approx(math.log(3), abs=0.25)
    floor = -(0.8 * math.log(0.8) + 0.2 * math.log(0.1))  # the entropy of the teacher's own probabilities
    # The loss ends 0.001 above the floor, with AVX2 and with SSE; guessing is 0.46 above it.
    assert floor < run.epochs[-1].loss < floor + 0.15
    # Guessing would be right in a third of the decisions.
    assert run.epochs[-1].train_accuracy > 0.9
    assert run.epochs[-1].heldout_accuracy > 0.9
    heldout = learnable[1]
    choices = run.policy.decide([decision.state for decision in heldout], actions)
    rows = [choice.probabilities for choice in choices]
    right = [row.index(max(row)) == actions.index(d.action.name) for row, d in zip(rows, heldout, strict=True)]
    assert sum(right) / len(right) == pytest.approx(run.epochs[-1].heldout_accuracy)


def test_the_held_out_accuracy_is_an_estimate_until_the_last_epoch(train, learnable, monkeypatch):
    asked = []
    think = HRM.think

    def watched(self, tokens, *rest, **options):
        asked.append((len(tokens), options.get("max_segments")))
        return think(self, tokens, *rest, **options)

    monkeypatch.setattr(HRM, "think", watched)
    train(epochs=2, epoch_heldout_decisions=7)
    assert asked[0] == (7, 1)
    assert {segments for _, segments in asked[1:]} == {None}
    assert sum(count for count, _ in asked[1:]) == len(learnable[1])


def test_the_same_seed_gives_the_same_losses_and_weights_whatever_was_drawn_earlier(train):
    torch.manual_seed(1)
    one = train("one", epochs=3)
    torch.manual_seed(2)
    two = train("two", epochs=3)
    other = train("other", epochs=3, seed=8)
    assert one.epochs == two.epochs
    assert same_weights(one, two)
    assert losses(one) != losses(other)


@pytest.mark.parametrize(("killed", "resumed_after"), [(5, 4), (4, 2)])  # 4: before its checkpoint is written
def test_a_killed_training_resumes_from_its_last_checkpoint_to_the_same_weights(train, unbroken, killed, resumed_after):
    unbroken, _ = unbroken
    assert unbroken.resumed_after == 0
    with pytest.raises(Killed):
        train("broken", on_epoch=kill_at(killed))
    told = []
    resumed = train("broken", resume=True, on_epoch=told.append)
    assert resumed.resumed_after == resumed_after
    assert [result.epoch for result in told] == list(range(resumed_after + 1, 7))
    assert resumed.epochs == unbroken.epochs
    assert same_weights(resumed, unbroken)
    assert [path.name for path in resumed.checkpoints] == ["epoch-002", "epoch-004", "epoch-006"]


def test_resuming_a_finished_run_returns_its_policy_without_training(train, unbroken, tmp_path):
    finished, folder = unbroken
    shutil.copytree(folder, tmp_path / "checkpoints")
    again = train(resume=True, on_epoch=kill_at(1))
    assert again.resumed_after == 6
    assert again.epochs == finished.epochs
    assert same_weights(again, finished)


def test_a_checkpoint_is_written_after_every_third_epoch_and_after_the_last(train):
    run = train(epochs=7, checkpoint_every_epochs=3)
    assert [path.name for path in run.checkpoints] == ["epoch-003", "epoch-006", "epoch-007"]
    for path in run.checkpoints:
        assert sorted(file.name for file in path.iterdir()) == [
            "config.json",
            "model.safetensors",
            "optimizer.safetensors",
            "training.json",
        ]
    moments = load_file(run.checkpoints[0] / "optimizer.safetensors")
    assert {name.split(".")[2] for name in moments} == {"step", "exp_avg", "exp_avg_sq", "ids"}
    steps_done = {tensor.item() for name, tensor in moments.items() if name.endswith(".step")}
    assert steps_done == {3 * math.ceil(60 / CONFIG.batch_size)}
    document = json.loads((run.checkpoints[0] / "training.json").read_text())
    assert document["epoch"] == len(document["epochs"]) == 3


def test_a_training_can_not_resume_from_an_empty_folder(train):
    with pytest.raises(CheckpointError, match="no checkpoint to resume from: leave --resume out"):
        train(resume=True)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": 1e-3}, "training"),
        ({"seed": 8}, "training"),
        ({"epochs": 8}, "training"),
        ({"codec": StateCodec(32)}, "codec"),
    ],
)
def test_resuming_with_other_options_is_refused(train, killed_at_5, tmp_path, changes, named):
    shutil.copytree(killed_at_5, tmp_path / "checkpoints")
    with pytest.raises(CheckpointError, match=rf"epoch-004: belongs to another run \(its {named} differ\)"):
        train(resume=True, **changes)


def test_resuming_with_another_model_is_refused(train, killed_at_5, tmp_path, tiny_config):
    shutil.copytree(killed_at_5, tmp_path / "checkpoints")
    with pytest.raises(CheckpointError, match=r"its model differ"):
        train(resume=True, model_config=replace(tiny_config, high_cycles=tiny_config.high_cycles + 1))


def test_resuming_with_other_data_is_refused(train, killed_at_5, tmp_path, learnable):
    shutil.copytree(killed_at_5, tmp_path / "checkpoints")
    decisions, heldout = learnable
    for data, named in (((decisions[1:], heldout), "train"), ((decisions, heldout[1:]), "heldout")):
        with pytest.raises(CheckpointError, match=rf"its {named} differ"):
            train(resume=True, data=data)
    assert train(resume=True).resumed_after == 4  # the refusals have done no harm


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "training.json", "config.json"])
@pytest.mark.parametrize("change", ["missing", "torn"])
def test_after_a_damaged_checkpoint_is_deleted_the_training_resumes_from_the_checkpoint_before(
    train, killed_at_5, tmp_path, name, change
):
    shutil.copytree(killed_at_5, tmp_path / "checkpoints")
    newest = tmp_path / "checkpoints" / "epoch-004"
    content = (newest / name).read_bytes()
    (newest / name).unlink()
    if change == "torn":
        (newest / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=rf"epoch-004/{name}"):
        train(resume=True)
    shutil.rmtree(newest)
    trained = []
    with pytest.raises(Killed):
        train(resume=True, on_epoch=kill_at(3, trained))
    assert trained == [3]


def test_a_new_training_removes_only_the_checkpoints_of_the_training_before(train, tmp_path):
    train(epochs=4)
    (tmp_path / "checkpoints" / "epoch-notes").mkdir()
    (tmp_path / "checkpoints" / "readme.txt").write_text("mine")
    run = train(epochs=3, checkpoint_every_epochs=3)
    assert [path.name for path in run.checkpoints] == ["epoch-003"]
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["epoch-003", "epoch-notes", "readme.txt"]


def test_the_hrm_learns_the_teachers_probabilities_not_only_its_choices(train, learnable):
    decisions, heldout = learnable
    flat = [replace(decision, probabilities=(0.34, 0.33, 0.33)) for decision in decisions]
    sharp = train("sharp", epochs=2)
    soft = train("soft", data=(flat, heldout), epochs=2)
    assert losses(sharp) != losses(soft)
    hard = train("hard", epochs=2, soft_target_weight=0.0)
    hard_flat = train("hard flat", data=(flat, heldout), epochs=2, soft_target_weight=0.0)
    assert losses(hard) == losses(hard_flat)
    assert losses(hard) != losses(sharp)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_reported_loss_is_each_decisions_last_segments_and_the_reported_answer_its_first_segments(
    actions, tiny_config, learnable, weight
):
    config = replace(CONFIG, soft_target_weight=weight, batch_size=16)
    model = ImitationTrainer(actions, config, replace(tiny_config, dropout=0.0)).initialise()
    data = encode_decisions(learnable[0][:16], actions, StateCodec(48))
    outputs = action_outputs(actions, model.config.vocab_size)
    batch = data.batch(range(16))
    with torch.no_grad():
        first = model(batch.tokens, batch.mask, outputs)
        second = model(batch.tokens, batch.mask, outputs, first.carry)
    assert tiny_config.max_segments == 2
    going_on, _ = choose_going_on(first.logits.argmax(-1) == batch.labels, another_segment=True, to_the_end=False)
    assert 0 < len(going_on) < 16
    logits = first.logits.clone()
    logits[going_on] = second.logits[going_on]
    target = weight * batch.targets + (1 - weight) * torch.eye(3)[batch.labels]
    expected = -(target * logits.log_softmax(-1)).sum(1).mean().item()
    learner = Learner(model, HRMOptimizer(model, config), outputs, config, bf16=False)
    learner.step(batch, segments=2, to_the_end=False, learning_rate=1e-3)
    loss, right = learner.take_totals()
    # This is a mean of 16 losses of about 1, in float32.
    assert loss / 16 == pytest.approx(expected, abs=1e-5)
    assert right == (first.logits.argmax(-1) == batch.labels).sum().item()
    assert learner.take_totals() == (0.0, 0)


def test_the_hrm_learns_from_the_choice_if_no_probabilities_are_recorded(train, learnable):
    decisions, heldout = learnable
    bare = [replace(decision, probabilities=None) for decision in decisions]
    assert losses(train("bare", data=(bare, heldout), epochs=2)) == losses(
        train("hard", epochs=2, soft_target_weight=0.0)
    )


def test_a_decision_with_an_action_outside_the_list_is_refused(train, learnable, make_decision):
    decisions, heldout = learnable
    odd = make_decision(99, actions=("idle", "ask_human", "fly"), action=Action("idle"))
    with pytest.raises(DataError, match=odd.id):
        train(data=([*decisions, odd], heldout))


@pytest.mark.parametrize(
    ("right", "thinking_on"),
    [("1111", 0), ("1101", 0), ("00001111", 4), ("100001111", 4), ("0000000011", 8), ("0", 1), ("00", 2), ("01", 0)],
)
def test_wrong_answers_think_on_in_multiples_of_four(right, thinking_on):
    rows = torch.tensor([mark == "1" for mark in right])
    on, done = choose_going_on(rows, another_segment=True, to_the_end=False)
    assert len(on) == thinking_on
    assert all(right[row] == "0" for row in on.tolist())
    assert sorted(on.tolist() + done.tolist()) == list(range(len(right)))
    assert choose_going_on(rows, another_segment=False, to_the_end=True)[0].tolist() == []
    assert len(choose_going_on(rows, another_segment=True, to_the_end=True)[0]) == len(right)


def test_a_right_answer_has_a_positive_lead_and_a_wrong_answer_a_negative_lead():
    targets = torch.tensor([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.45, 0.1, 0.45], [0.0, 1.0, 0.0]])
    logits = torch.tensor([[2.0, 1, 0], [0, 2.0, 1], [0, 1, 2.0], [0, 3.0, 1]])
    torch.testing.assert_close(lead(targets, logits), torch.tensor([0.3, -0.3, 0.0, 1.0]))


def test_the_halting_unit_learns_which_states_are_close_calls(actions, learnable, tmp_path, tiny_config):
    def as_close_call(decision, close):
        """Return the decision with close or clear probabilities, and a word in its state that tells which."""
        place = actions.index(decision.action.name)
        other = (place + 1) % 3
        shares = [0.51 if n == place else 0.47 if n == other else 0.02 for n in range(3)]
        sure = [0.98 if n == place else 0.01 for n in range(3)]
        state = decision.state | {"sure": "torn" if close else "certain"}
        return replace(decision, state=state, probabilities=tuple(shares if close else sure))

    train, heldout = ([as_close_call(d, n % 2 == 0) for n, d in enumerate(part)] for part in learnable)
    config = replace(CONFIG, epochs=30, learning_rate=1e-2)
    model_config = replace(tiny_config, dropout=0.0, halt_threshold=0.5)
    run = ImitationTrainer(actions, config, model_config, StateCodec(48)).train(train, heldout, tmp_path)
    _, segments = run.policy.think([decision.state for decision in heldout])
    close, sure = segments[0::2].float().mean(), segments[1::2].float().mean()
    assert close > 1.7
    assert sure < 1.5


def test_every_segment_has_a_loss_and_the_halting_unit_learns(train, tiny_config, monkeypatch, learnable):
    calls, forward = [], HRM.forward

    def counted(self, *arguments, **options):
        calls.append(torch.is_grad_enabled())
        return forward(self, *arguments, **options)

    monkeypatch.setattr(HRM, "forward", counted)
    run = train(epochs=2, model_config=replace(tiny_config, max_segments=3))
    batches = math.ceil(60 / CONFIG.batch_size)
    assert 2 * batches < sum(calls) <= 4 * batches  # one segment in the first epoch, then three where answers are wrong
    start = ImitationTrainer(run.policy.actions, replace(CONFIG, epochs=2), run.policy.model.config).initialise()
    assert not torch.equal(run.policy.model.halting.bias, start.halting.bias)
    assert not torch.equal(run.policy.model.low_to_high.weight, start.low_to_high.weight)


@pytest.mark.parametrize(
    ("epochs", "longest", "expected"),
    [(10, 4, [1, 1, 1, 2, 2, 3, 3, 3, 4, 4]), (3, 2, [1, 1, 2]), (2, 4, [1, 4]), (1, 4, [1]), (4, 1, [1, 1, 1, 1])],
)
def test_the_segments_grow_over_the_epochs(actions, epochs, longest, expected):
    trainer = ImitationTrainer(actions, TrainingConfig(epochs=epochs))
    assert [trainer._segments(epoch, longest) for epoch in range(1, epochs + 1)] == expected


def test_the_learning_rate_rises_then_falls_along_a_cosine(actions):
    config = TrainingConfig(epochs=10, learning_rate=1e-3, warmup_share=0.2, final_learning_rate_share=0.1)
    trainer = ImitationTrainer(actions, config)
    rates = [trainer._learning_rate(step, steps_per_epoch=10) for step in range(100)]
    assert rates[:20] == pytest.approx([1e-3 * (step + 1) / 20 for step in range(20)])
    assert rates[20] == pytest.approx(1e-3)
    assert rates[60] == pytest.approx(0.55e-3)
    assert rates[99] == pytest.approx(1e-4, rel=0.02)
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_on_batch_is_called_with_the_progress_after_each_batch(actions, tiny_config, learnable, tmp_path):
    starts, batches = [], []
    trainer = ImitationTrainer(
        actions,
        replace(CONFIG, epochs=2),
        tiny_config,
        StateCodec(48),
        hooks=TrainingHooks(
            on_start=lambda model, epochs_done: starts.append((model.parameter_count, epochs_done)),
            on_batch=lambda *progress: batches.append(progress),
        ),
    )
    trainer.train(learnable[0], learnable[1], tmp_path)
    assert starts == [(HRM(tiny_config).parameter_count, 0)]
    assert batches == [(epoch, batch, 8) for epoch in (1, 2) for batch in range(1, 9)]


def test_the_trained_policy_is_read_back_the_same(train, learnable, actions, tmp_path):
    run = train(epochs=2)
    run.policy.save_as("hrm@1", tmp_path / "model")
    states = [decision.state for decision in learnable[1]]
    assert HRMPolicy.load(tmp_path / "model").decide(states, actions) == run.policy.decide(states, actions)
    assert isinstance(run.policy.actions, ActionList)


def test_a_training_in_bfloat16_learns(train):
    run = train(epochs=8, learning_rate=1e-2, bf16=True)
    assert run.epochs[-1].loss < run.epochs[0].loss - 0.2
    assert all(tensor.dtype == torch.float32 for tensor in weights(run).values())
