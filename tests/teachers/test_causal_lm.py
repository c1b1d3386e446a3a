from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
import torch

from aegis.errors import TeacherError
from aegis.teachers import CausalLMTeacher, load_teacher
from aegis.teachers.prompt import QUESTION, render_instructions, render_situation
from aegis.testing import check_teacher
from aegis.types import ActionList, ActionSpec, Teacher

STATES: list[dict[str, Any]] = [
    {"goals": ["learn sqlite3", "learn json"], "human": "here", "waiting": {"answers": 1, "approvals": 0}},
    {"goals": [], "human": "away", "waiting": {"answers": 0, "approvals": 12}},
    {"goals": ["x" * 40], "human": None, "waiting": {}},
]


@pytest.fixture
def teacher(gpt2_folder) -> CausalLMTeacher:
    return cast(CausalLMTeacher, load_teacher(str(gpt2_folder)))


def test_a_language_model_keeps_the_contract_of_teachers(teacher, actions):
    check_teacher(teacher, actions, STATES)


def score_plainly(teacher: CausalLMTeacher, prompt: list[int], actions: ActionList) -> list[float]:
    """Score each action by a whole pass over prompt and words, with nothing kept in between."""
    scores = []
    for spec in actions:
        words = teacher._tokenizer(" " + spec.words, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = teacher._model(torch.tensor([prompt + words]), use_cache=False).logits[0]
        logarithms = logits.double().log_softmax(-1)
        scores.append(sum(logarithms[len(prompt) - 1 + at, token].item() for at, token in enumerate(words)))
    return scores


def prompt_ids(teacher: CausalLMTeacher, state: dict[str, Any], actions: ActionList) -> list[int]:
    texts = (render_instructions(actions), render_situation(state))
    parts = [teacher._tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return [teacher._tokenizer.bos_token_id, *itertools.chain(*parts)]


def test_a_loaded_language_model_is_a_teacher(teacher, gpt2_folder):
    from transformers import GPT2LMHeadModel

    assert isinstance(teacher, Teacher)
    assert teacher.name == "tiny-gpt2"
    assert teacher.source == str(gpt2_folder)
    assert teacher.parameters == GPT2LMHeadModel.from_pretrained(gpt2_folder).num_parameters()


def test_the_real_gpt2_has_124439808_parameters():
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config())
    assert CausalLMTeacher(model, None, "gpt2", "nowhere").parameters == 124_439_808


def test_the_words_of_the_actions_are_of_different_lengths_here(tokenizer, actions):
    lengths = [len(tokenizer(" " + spec.words, add_special_tokens=False)["input_ids"]) for spec in actions]
    assert lengths[0] == lengths[3] == 1
    assert 1 < lengths[1] < lengths[2]


@pytest.mark.parametrize("state", STATES)
def test_cached_scores_equal_those_of_whole_passes(teacher, actions, state):
    plain = score_plainly(teacher, prompt_ids(teacher, state, actions), actions)
    for _ in range(2):  # the second time from the kept instructions
        assert teacher.score(state, actions).tolist() == pytest.approx(plain, abs=1e-4)


def test_actions_of_a_single_token_are_scored_by_one_pass_over_the_state(teacher):
    single = ActionList((ActionSpec("a", "search", "look"), ActionSpec("b", "idle", "wait")))
    plain = score_plainly(teacher, prompt_ids(teacher, STATES[0], single), single)
    teacher.score(STATES[1], single)
    passes = []
    teacher._model.register_forward_hook(lambda *_: passes.append(True))
    assert teacher.score(STATES[0], single).tolist() == pytest.approx(plain, abs=1e-4)
    assert len(passes) == 1


def test_a_state_leaves_no_trace_in_the_scores_of_the_next_state(teacher, actions, gpt2_folder):
    in_turn = [teacher.score(state, actions).tolist() for state in STATES]
    fresh = [cast(CausalLMTeacher, load_teacher(str(gpt2_folder))).score(state, actions).tolist() for state in STATES]
    assert in_turn == [pytest.approx(scores, abs=1e-6) for scores in fresh]
    assert max(abs(a - b) for a, b in zip(in_turn[0], in_turn[1], strict=True)) > 1e-2


def test_a_sliding_window_shorter_than_the_prompt_changes_nothing(tokenizer, actions):
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        max_position_embeddings=1024,
        initializer_range=0.3,
    )
    teacher = CausalLMTeacher(Gemma3ForCausalLM(config), tokenizer, "tiny-gemma", "here")
    plain = score_plainly(teacher, prompt_ids(teacher, STATES[0], actions), actions)
    for _ in range(2):
        assert teacher.score(STATES[0], actions).tolist() == pytest.approx(plain, abs=1e-4)


def test_probabilities_are_scores_divided_by_those_of_states_without_content(teacher, actions):
    content_free = [
        {"goals": [value], "human": value, "waiting": {"answers": value, "approvals": value}}
        for value in ("N/A", "", "[MASK]")
    ]
    free = torch.tensor(
        [score_plainly(teacher, prompt_ids(teacher, state, actions), actions) for state in content_free]
    )
    mean = free.softmax(-1).mean(0)
    scores = torch.tensor(
        [score_plainly(teacher, prompt_ids(teacher, state, actions), actions) for state in STATES[:2]]
    )
    expected = (scores - mean.log()).softmax(-1)
    for row, choice in zip(expected.tolist(), teacher.decide(STATES[:2], actions), strict=True):
        assert choice.probabilities == pytest.approx(row, abs=1e-4)
        assert sum(choice.probabilities) == pytest.approx(1)
    assert (expected - scores.softmax(-1)).abs().max() > 0.05  # here the correction matters


def test_a_bias_towards_a_single_word_is_corrected_to_indifference(teacher):
    single = ActionList(
        (ActionSpec("a", "search", "look"), ActionSpec("b", "ask", "ask"), ActionSpec("c", "idle", "wait"))
    )
    torch.nn.init.normal_(teacher._model.lm_head.weight, std=1e-3)
    loved = teacher._tokenizer(" ask", add_special_tokens=False)["input_ids"]

    def add_bias(module, inputs, logits):
        logits[..., loved] += 10.0
        return logits

    teacher._model.lm_head.register_forward_hook(add_bias)
    assert teacher.score(STATES[0], single).softmax(-1)[1] > 0.99
    assert teacher.decide(STATES[:1], single)[0].probabilities == pytest.approx([1 / 3] * 3, abs=0.02)


def test_states_are_scored_in_order_whatever_their_number(teacher, actions):
    rows = [choice.probabilities for choice in teacher.decide(STATES, actions)]
    assert rows == [teacher.decide([state], actions)[0].probabilities for state in STATES]
    assert teacher.decide([], actions) == []


def test_a_long_state_is_cut_within_the_window_and_the_question_stays(teacher, actions):
    window = teacher._model.config.n_positions
    state = {f"key {n}": "many words that never end" for n in range(200)}
    whole = prompt_ids(teacher, state, actions)
    assert len(whole) > 3 * window
    lengths, read = [], []

    def watch(module, arguments, options):
        cache, ids = options["past_key_values"], arguments[0]
        lengths.append(cache.get_seq_length() + ids.shape[1])
        read.append(ids[0].tolist())

    watching = teacher._model.register_forward_pre_hook(watch, with_kwargs=True)
    scores = teacher.score(state, actions).tolist()
    watching.remove()
    assert max(lengths) <= window
    question = teacher._tokenizer(QUESTION, add_special_tokens=False)["input_ids"]
    instructions, situation = read[:2]
    assert situation[-len(question) :] == question
    cut = situation[: -len(question)]
    assert len(cut) > 50
    assert (instructions + cut) == whole[: len(instructions) + len(cut)]
    assert scores == pytest.approx(score_plainly(teacher, instructions + situation, actions), abs=1e-4)
    assert sum(teacher.decide([state], actions)[0].probabilities) == pytest.approx(1)


def test_descriptions_that_fill_the_whole_window_are_refused(teacher):
    long = ActionList((ActionSpec("a", "search", "word " * 500), ActionSpec("b", "idle", "wait")))
    with pytest.raises(
        TeacherError, match=r"window of 512 tokens has no room for a state after the \d+ tokens.*shorten"
    ):
        teacher.decide(STATES[:1], long)


def test_scores_that_are_not_finite_are_refused(teacher, actions):
    with torch.no_grad():
        teacher._model.transformer.ln_f.bias.fill_(float("nan"))
    with pytest.raises(TeacherError, match="tiny-gpt2: its scores are not finite"):
        teacher.decide(STATES[:1], actions)
