from __future__ import annotations

import json
import time
from statistics import median

import numpy as np
import pytest
import torch

from aegis.config import HRMConfig
from aegis.errors import CheckpointError, ConfigError, DataError
from aegis.hrm import HRM, HRMPolicy, OnnxPolicy, StateCodec
from aegis.hrm.onnx.export import compile_policy
from aegis.testing import check_policy
from aegis.types import ActionList, ActionSpec, Policy

# The vocabulary is GPT-2's, like the codec's; everything else is tiny.
CONFIG = HRMConfig(
    max_positions=64, high_width=8, high_layers=1, high_heads=2, low_width=4, low_layers=1, low_heads=2, dropout=0.3
)
ACTIONS = ActionList(
    (
        ActionSpec("web_search", "search", "look it up", argument="query"),
        ActionSpec("ask_human", "ask a person", "ask somebody"),
        ActionSpec("idle", "idle", "do nothing"),
    )
)
STATES = [{"goal": "a" * length, "open": list(range(length))} for length in (1, 20, 3, 9)]


@pytest.fixture(scope="module")
def policy() -> HRMPolicy:
    torch.manual_seed(0)
    return HRMPolicy(HRM(CONFIG), StateCodec(48), ACTIONS, "hrm@3")


def test_an_hrm_is_a_policy(policy):
    kept: object = policy
    assert isinstance(kept, Policy)
    assert policy.name == "hrm@3"
    assert policy.parameters == policy.model.parameter_count
    check_policy(policy, ACTIONS, STATES)


def test_each_state_has_one_probability_per_action_in_order(policy):
    rows = [choice.probabilities for choice in policy.decide(STATES, ACTIONS)]
    assert [len(row) for row in rows] == [3] * 4
    # Three float32 numbers of at most 1, each rounded by 1e-7.
    assert all(sum(row) == pytest.approx(1, abs=1e-6) and min(row) > 0 for row in rows)
    assert len({tuple(round(p, 5) for p in row) for row in rows}) == 4
    for state, row in zip(STATES, rows, strict=True):
        # Another batch adds up in another order, which changes 1e-7; the rows differ by at least 1e-5 (above).
        assert policy.decide([state], ACTIONS)[0].probabilities == pytest.approx(row, abs=1e-5)


def test_more_states_than_fit_into_one_batch_keep_their_order(policy):
    states = [{"n": n, "pad": "x" * (n % 7)} for n in range(150)]
    rows = [choice.probabilities for choice in policy.decide(states, ACTIONS)]
    assert len(rows) == 150
    for n in (0, 63, 64, 65, 149):
        # As above.
        assert policy.decide([states[n]], ACTIONS)[0].probabilities == pytest.approx(rows[n], abs=1e-5)


def test_no_states_give_no_choices(policy):
    assert policy.decide([], ACTIONS) == []


def test_thinking_returns_the_segments_of_each_state(policy):
    probabilities, segments = policy.think(STATES)
    assert probabilities.shape == (4, 3)
    assert segments.tolist() == [CONFIG.max_segments] * 4  # untrained, the halting unit never halts


def test_deciding_is_deterministic(policy):
    assert policy.decide(STATES, ACTIONS) == policy.decide(STATES, ACTIONS)


def test_a_saved_policy_comes_back_the_same(policy, tmp_path):
    policy.save(tmp_path / "p")
    again = HRMPolicy.load(tmp_path / "p")
    assert again.name == "hrm@3"
    assert again.actions == ACTIONS
    assert again.codec == StateCodec(48)
    assert again.model.config == CONFIG
    assert again.decide(STATES, ACTIONS) == policy.decide(STATES, ACTIONS)
    assert not again.model.training


def test_a_policy_saved_under_another_name_decides_under_that_name(tmp_path):
    own = HRMPolicy(HRM(CONFIG), StateCodec(48), ACTIONS)
    assert own.name == "hrm"
    own.save_as("hrm@1", tmp_path / "p")
    assert own.name == HRMPolicy.load(tmp_path / "p").name == "hrm@1"


def test_hugging_face_reads_the_model_of_a_saved_policy(policy, tmp_path):
    policy.save(tmp_path / "p")
    model = HRM.from_pretrained(str(tmp_path / "p"))
    assert torch.equal(model.output.weight, policy.model.output.weight)


@pytest.mark.parametrize("name", ["policy.json", "config.json", "model.safetensors"])
@pytest.mark.parametrize("change", ["missing", "torn"])
def test_a_policy_with_a_missing_or_torn_file_is_refused_with_the_files_name(policy, tmp_path, name, change):
    policy.save(tmp_path / "p")
    path = tmp_path / "p" / name
    content = path.read_bytes()
    path.unlink()
    if change == "torn":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=rf"p/{name}: missing or .*: train again, or use an older checkpoint"):
        HRMPolicy.load(tmp_path / "p")


@pytest.mark.parametrize(
    "fields",
    [
        {"actions": None},
        {"actions": []},
        {"actions": [{"name": "a"}, {"name": "b"}]},
        {"actions": [{"name": 5, "words": "a", "description": ""}, {"name": "b", "words": "b", "description": ""}]},
        {"codec": {"max_tokens": "many"}},
        {"codec": {"max_tokens": 1}},
        {"codec": {"version": 99}},
        {"codec": {"exclude": ["a..b"]}},
        {"codec": None},
    ],
)
def test_a_malformed_policy_file_is_refused(policy, tmp_path, fields):
    policy.save(tmp_path / "p")
    path = tmp_path / "p" / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(CheckpointError, match=r"policy\.json: out of form .*: train again"):
        HRMPolicy.load(tmp_path / "p")


def test_a_policy_without_a_codec_version_reads_states_as_it_did(policy, tmp_path):
    policy.save(tmp_path / "p")
    path = tmp_path / "p" / "policy.json"
    document = json.loads(path.read_text())
    del document["codec"]
    path.write_text(json.dumps(document | {"max_tokens": 32}))
    again = HRMPolicy.load(tmp_path / "p")
    assert again.codec == StateCodec(32, version=1)
    again.save(tmp_path / "q")
    assert HRMPolicy.load(tmp_path / "q").codec == again.codec


def test_an_excluded_field_changes_no_decision(tmp_path):
    HRMPolicy(HRM(CONFIG), StateCodec(48, ("customer.email",)), ACTIONS).save(tmp_path / "p")
    policy = HRMPolicy.load(tmp_path / "p")
    one, other = ({"n": 1, "customer": {"email": email}} for email in ("a@b.c", "someone.else@d.e"))
    assert policy.decide([one], ACTIONS) == policy.decide([other], ACTIONS)
    assert policy.decide([one], ACTIONS) != policy.decide([{"n": 2, "customer": {}}], ACTIONS)


def test_a_codec_with_more_tokens_than_the_model_has_positions_for_is_refused():
    with pytest.raises(ConfigError, match=r"--max-tokens must be at most 190, not 191: .* 64 positions"):
        HRMPolicy(HRM(CONFIG), StateCodec(191), ACTIONS)
    policy = HRMPolicy(HRM(CONFIG), StateCodec(190), ACTIONS)
    assert len(policy.codec.encode({"text": "word " * 500})) == 190
    assert len(policy.decide([{"text": "word " * 500}], ACTIONS)) == 1


OFFERS = [["web_search", "idle"], ["ask_human"], list(ACTIONS.names), ["idle", "ask_human"]]


def share_out(policy: HRMPolicy | OnnxPolicy, offered: list[str]) -> dict[str, list[float]]:
    """Return, by action, what the probabilities come to where these alone are on offer."""
    whole = np.array([choice.probabilities for choice in policy.decide(STATES, ACTIONS)])
    kept = whole[:, [ACTIONS.index(name) for name in offered]]
    return dict(zip(offered, (kept / kept.sum(1, keepdims=True)).T.tolist(), strict=True))


@pytest.mark.parametrize("offered", OFFERS)
def test_the_actions_on_offer_share_out_the_probability_of_the_others_in_any_order(policy, offered):
    for one in (policy, compile_policy(policy)):
        wanted = share_out(one, offered)
        asked = ActionList(tuple(ACTIONS[name] for name in offered))
        for row, choice in enumerate(one.decide(STATES, asked)):
            assert choice.probabilities == pytest.approx([wanted[name][row] for name in offered], abs=1e-6)
            assert choice.action == max(offered, key=lambda name: choice.probabilities[offered.index(name)])


def test_states_may_each_have_an_offer_of_their_own(policy):
    found, _ = policy.think(STATES, offers=OFFERS)
    for row, (state, offered) in enumerate(zip(STATES, OFFERS, strict=True)):
        (choice,) = policy.decide([state], ACTIONS.only(offered))
        wanted = dict(zip(ACTIONS.only(offered).names, choice.probabilities, strict=True))
        assert found[row].tolist() == pytest.approx([wanted.get(name, 0.0) for name in ACTIONS.names], abs=1e-6)
    with pytest.raises(DataError, match="no action is on offer"):
        policy.think(STATES[:1], offers=[[]])


def test_an_action_that_a_policy_does_not_know_is_refused_until_it_is_given(policy):
    longer = ActionList((*ACTIONS, ActionSpec("email", "write an email", "write")))
    for one in (policy, compile_policy(policy)):
        with pytest.raises(ConfigError, match=r"among the actions web_search, .*, not among email: train it"):
            one.decide(STATES, longer)
    learned = policy.with_actions(longer)
    assert compile_policy(learned).decide(STATES, longer)[0].probabilities == pytest.approx(
        learned.decide(STATES, longer)[0].probabilities, abs=1e-6
    )
    # What it knew keeps its place beside the new one.
    assert learned.decide(STATES, ACTIONS) == policy.decide(STATES, ACTIONS)


def test_an_exported_policy_knows_an_action_by_its_words_whatever_its_name(policy):
    exported = compile_policy(policy)
    renamed = ActionList(tuple(ActionSpec(f"my_{one.name}", one.words, "") for one in (*ACTIONS,)[::-1]))
    other = exported.with_actions(renamed)
    for one, two in zip(exported.decide(STATES, ACTIONS), other.decide(STATES, renamed), strict=True):
        assert two.action == f"my_{one.action}"
        assert two.probabilities == pytest.approx(one.probabilities[::-1], abs=1e-6)
    with pytest.raises(ConfigError, match="exported without the actions email"):
        exported.with_actions(ActionList((ActionSpec("email", "write an email", "write"),)))


def test_an_exported_policy_decides_among_a_thousand_actions_as_the_model_does():
    torch.manual_seed(0)
    many = ActionList(tuple(ActionSpec(f"action_{n}", f"send letter {n} {n % 7}", "") for n in range(1000)))
    own = HRMPolicy(HRM(CONFIG), StateCodec(48), many)
    exported = compile_policy(own)
    for one, other in zip(own.decide(STATES, many), exported.decide(STATES, many), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    assert exported.decide(STATES[:1], many.only(["action_700"]))[0].action == "action_700"


@pytest.mark.long
def test_a_decision_among_1000_actions_takes_at_most_3_times_a_decision_among_4():
    model = HRM()
    seconds: dict[tuple[str, int], list[float]] = {}
    policies = []
    for count in (4, 1000):
        actions = ActionList(tuple(ActionSpec(f"action_{n}", f"send letter {n} {n % 7}", "") for n in range(count)))
        own = HRMPolicy(model, StateCodec(), actions)
        policies += [(one, actions) for one in (own, compile_policy(own))]
    for _ in range(15):
        for one, actions in policies:
            began = time.process_time()
            one.decide([{"ticket": "My parcel arrived broken."}], actions)
            seconds.setdefault((one.backend, len(actions)), []).append(time.process_time() - began)
    for backend in ("eager", "onnx"):
        assert median(seconds[backend, 1000]) <= 3 * median(seconds[backend, 4])
