from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aegis.config import HRMConfig, TrainingConfig
from aegis.hrm import HRM, ngram_ids, output_tokens
from aegis.training import Dataset, ImitationTrainer
from aegis.training.vocabulary import UsedVocabulary

CONFIG = HRMConfig(
    vocab_size=300,
    max_positions=32,
    high_width=16,
    high_layers=1,
    high_heads=2,
    low_width=8,
    low_layers=1,
    low_heads=2,
    dropout=0.2,
)
ACTION_TOKENS = [[7], [250, 251], [9]]
SEQUENCES = ((299, 20, 30, 20, 41), (299, 5, 30, 200), (299, 20))
TOKENS = {5, 20, 30, 41, 200, 299}
OUTPUTS = {7, 9, 250, 251}


def used_inputs(ngram_length: int) -> set[int]:
    read = set(TOKENS)
    for sequence in SEQUENCES:
        for ids in ngram_ids(torch.tensor([sequence]), ngram_length, CONFIG.vocab_size):
            read |= set(ids[0].tolist())
    return read


@pytest.fixture
def data() -> Dataset:
    targets = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    return Dataset(SEQUENCES, targets, torch.tensor([0, 1, 2]))


def learn(trainer: ImitationTrainer, model: HRM, data: Dataset, outputs: torch.Tensor, steps: int) -> HRM:
    optimizer = trainer._optimizer(model)
    model.train()
    torch.manual_seed(1)
    for _ in range(steps):
        trainer._train_batch(model, optimizer, data, [0, 1, 2], outputs, model.config.max_segments)
    return model


@pytest.mark.parametrize(("clip", "tolerance"), [(1e9, 1e-8), (1e-2, 1e-6)])
def test_training_on_the_used_rows_alone_gives_the_weights_of_training_the_whole_model(actions, data, clip, tolerance):
    trainer = ImitationTrainer(actions, TrainingConfig(bf16=False, gradient_clip=clip, learning_rate=1e-2))
    torch.manual_seed(0)
    start = HRM(CONFIG)
    whole = HRM(CONFIG)
    whole.load_state_dict(start.state_dict())
    learn(trainer, whole, data, output_tokens(ACTION_TOKENS), steps=3)

    written = HRM(CONFIG)
    written.load_state_dict(start.state_dict())
    used = UsedVocabulary(SEQUENCES, ACTION_TOKENS, CONFIG)
    compact = used.shrink(written)
    outputs = output_tokens([used.output_places(ids) for ids in ACTION_TOKENS])
    learn(trainer, compact, data, outputs, steps=3)
    used.write_back(compact, written)

    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(written.state_dict()[name], tensor, rtol=0, atol=tolerance, msg=name)
    changed = (written.token_embedding.weight != start.token_embedding.weight).any(1).nonzero().flatten().tolist()
    assert set(changed) == used_inputs(CONFIG.ngram_length)
    changed = (written.output.weight != start.output.weight).any(1).nonzero().flatten().tolist()
    assert set(changed) == OUTPUTS


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_compact_model_holds_the_used_rows_and_everything_else(length):
    torch.manual_seed(0)
    config = replace(CONFIG, ngram_length=length)
    full = HRM(config).eval()
    used = UsedVocabulary(SEQUENCES, ACTION_TOKENS, config)
    assert set(used.input_ids) == used_inputs(length)
    assert used.output_ids == sorted(OUTPUTS)
    compact = used.shrink(full).eval()
    assert compact.token_embedding.weight.shape == (len(used.input_ids), CONFIG.high_width)
    assert compact.output.weight.shape == (len(OUTPUTS), CONFIG.high_width)
    places = output_tokens([used.output_places(ids) for ids in ACTION_TOKENS])
    for sequence in SEQUENCES:
        whole = full(torch.tensor([sequence]), None, output_tokens(ACTION_TOKENS))
        small = compact(torch.tensor([sequence]), None, places)
        assert torch.equal(whole.logits, small.logits)
        assert torch.equal(whole.halt_logits, small.halt_logits)


def test_writing_back_at_once_changes_nothing():
    full = HRM(CONFIG)
    before = {name: tensor.clone() for name, tensor in full.state_dict().items()}
    used = UsedVocabulary(SEQUENCES, ACTION_TOKENS, CONFIG)
    used.write_back(used.shrink(full), full)
    assert all(torch.equal(tensor, before[name]) for name, tensor in full.state_dict().items())
