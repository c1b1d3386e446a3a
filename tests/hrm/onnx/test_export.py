from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from aegis.config import HRMConfig
from aegis.errors import CheckpointError, ConfigError
from aegis.hrm import BACKENDS, HRM, HRMPolicy, OnnxPolicy, StateCodec, export_onnx, load_policy
from aegis.hrm.onnx import export
from aegis.hrm.onnx.policy import LARGEST_COMPANY_DIFFERENCE, LARGEST_DIFFERENCE
from aegis.testing import check_policy
from aegis.types import ActionList, ActionSpec, Policy

SHAPE = {
    **{"max_positions": 64, "high_width": 16, "high_layers": 2, "high_heads": 2},
    **{"low_width": 8, "low_layers": 2, "low_heads": 2, "max_segments": 3},
}
ACTIONS = ActionList(
    (
        ActionSpec("web_search", "search", "look it up", argument="query"),
        ActionSpec("ask_human", "ask a person", "ask somebody"),
        ActionSpec("idle", "idle", "do nothing"),
    )
)
FLOAT_ROUNDING = 1e-5
"""Difference of probabilities by two float32 programs: a trained HRM had 3e-7 (AVX2, SSE); 1e-5 changes no action."""
STATES = [{"goal": "a" * (3 * length), "open": list(range(length)), "n": length} for length in (1, 12, 3, 9, 0)]


def make_policy(**changes) -> HRMPolicy:
    torch.manual_seed(0)
    model = HRM(HRMConfig(**SHAPE | changes))
    with torch.no_grad():  # as if trained: some states halt at once, some think on, and the answers differ
        model.halting.weight.normal_(std=0.3)
        model.halting.bias.zero_()
        model.output.weight.mul_(20)
    return HRMPolicy(model, StateCodec(48), ACTIONS, "hrm@3")


def examples_of(policy: HRMPolicy) -> list[tuple[dict, str]]:
    picked = policy.think(STATES)[0].argmax(-1).tolist()
    return [(state, ACTIONS.names[place]) for state, place in zip(STATES, picked, strict=True)]


@pytest.fixture(scope="module")
def policy() -> HRMPolicy:
    return make_policy()


@pytest.fixture(scope="module")
def exported(policy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "hrm"
    return export_onnx(policy, folder, examples_of(policy))


def test_an_export_reports_the_results_on_the_decisions_that_checked_it(exported):
    exact, int8 = exported.backends
    assert (exported.states, exported.accuracy) == (5, 1.0)
    assert (exact.backend, exact.differing, exact.accuracy) == ("onnx", 0, 1.0)
    assert exact.max_difference < FLOAT_ROUNDING
    assert int8.backend == "onnx-int8"
    # These random weights gave 0.03. The float32 graphs would give 0, and a wrong scale some tenths.
    assert 0 < int8.max_difference < 0.1
    assert [one.backend for one in exported.backends if one.depends_on_company] == []
    assert exact.ms_p50 > 0


def test_an_int8_answer_is_the_same_alone_and_in_a_batch_of_other_lengths(exported):
    policy = OnnxPolicy.load(exported.folder, "int8")
    states = [{"goal": "word " * length, "n": [length] * (length % 7)} for length in range(40)]
    together = policy.think(states)[0]
    alone = np.concatenate([policy.think([state])[0] for state in states])
    assert np.abs(together - alone).max() < LARGEST_COMPANY_DIFFERENCE
    assert np.abs(together - together[0]).max() > 100 * LARGEST_COMPANY_DIFFERENCE  # the answers do differ


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"high_cycles": 2},
        {"low_cycles": 1, "high_layers": 1, "low_layers": 1},
        {"patch_length": 1, "ngram_length": 1},
        {"patch_length": 4, "ngram_length": 2, "whole_cycle_gradient": True},
    ],
)
def test_the_graphs_of_every_shape_of_model_decide_as_the_model_does(tmp_path, changes):
    policy = make_policy(**changes)
    export_onnx(policy, tmp_path / "x", examples_of(policy))
    again = OnnxPolicy.load(tmp_path / "x")
    for to_the_end in (False, True):
        wanted, segments = policy.think(STATES, to_the_end)
        found, used = again.think(STATES, to_the_end)
        assert np.abs(found - wanted.numpy()).max() < FLOAT_ROUNDING
        assert used.tolist() == segments.tolist()
    # A representation has numbers of 1 to 4, ten times a probability, so it rounds ten times as coarsely.
    assert np.abs(again.represent(STATES) - policy.represent(STATES)).max() < 10 * FLOAT_ROUNDING
    assert np.abs(again.answer(STATES, ACTIONS)[1] - policy.represent(STATES)).max() < 10 * FLOAT_ROUNDING
    assert used.tolist() == [3] * len(STATES)


def test_an_export_leaves_out_and_renames_fields_as_the_model_does_and_keeps_no_secret(tmp_path):
    whole = make_policy()
    codec = StateCodec(48, exclude=("customer.email",), rename={"customer": "person"})
    policy = HRMPolicy(whole.model, codec, ACTIONS)
    states = [{"customer": {"email": f"secret{n}@example.org", "n": n}} for n in range(5)]
    folder = export_onnx(policy, tmp_path / "x", [(state, "idle") for state in states]).folder
    again = OnnxPolicy.load(folder)
    assert again.codec == codec
    assert np.abs(again.think(states)[0] - policy.think(states)[0].numpy()).max() < FLOAT_ROUNDING
    assert not any(b"secret" in path.read_bytes() for path in folder.iterdir())


def test_an_export_without_a_codec_version_reads_states_as_it_did(exported):
    document = json.loads((exported.folder / "policy.json").read_text())
    del document["codec"]
    graphs = (exported.folder / "first.onnx", exported.folder / "later.onnx")
    again = OnnxPolicy(document | {"max_tokens": 48}, graphs, "onnx")
    assert again.codec == StateCodec(48, version=1)


def test_many_threads_get_the_answers_that_each_gets_alone(exported):
    policy = OnnxPolicy.load(exported.folder, "int8")
    alone = [policy.answer([state], policy.actions) for state in STATES]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda state: policy.answer([state], policy.actions), STATES * 3))
    for (probabilities, represented), wanted in zip(together, alone * 3, strict=True):
        assert np.abs(probabilities - wanted[0]).max() < LARGEST_COMPANY_DIFFERENCE
        assert np.abs(represented - wanted[1]).max() < 0.01


def test_some_states_of_these_tests_think_for_several_segments(policy):
    assert len(set(policy.think(STATES)[1].tolist())) > 1


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_an_exported_hrm_is_a_policy(exported, policy, precision):
    again = OnnxPolicy.load(exported.folder, precision)
    assert isinstance(again, Policy)
    assert (again.name, again.parameters, again.actions) == ("hrm@3", policy.parameters, ACTIONS)
    check_policy(again, ACTIONS, STATES)
    assert again.decide([], ACTIONS) == []


def test_other_actions_than_it_was_trained_on_are_refused(exported):
    others = ActionList((ACTIONS["idle"], ActionSpec("dance", "dance", "")))
    with pytest.raises(ConfigError, match=r"hrm@3 decides among the actions web_search, .*, not among dance:"):
        OnnxPolicy.load(exported.folder).decide(STATES, others)


def test_deciding_by_an_export_needs_no_torch(exported):
    code = (
        "import sys\nfrom aegis.hrm.onnx.policy import OnnxPolicy\n"
        f"policy = OnnxPolicy.load({str(exported.folder)!r})\n"
        "print([list(one.probabilities) for one in policy.decide([{'goal': 'a'}], policy.actions)])\n"
        "assert not {'torch', 'transformers', 'onnx', 'safetensors'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_graphs_that_decide_differently_are_not_written(policy, tmp_path, monkeypatch):
    other = make_policy()
    torch.nn.init.normal_(other.model.low_to_high.weight)
    monkeypatch.setattr(export, "build_graphs", lambda model, outputs: build(other.model, outputs))
    from aegis.hrm.onnx.graph import build_graphs as build

    with pytest.raises(CheckpointError, match=r"x: the graphs decide differently .* nothing was written"):
        export_onnx(policy, tmp_path / "x", examples_of(policy))
    assert list(tmp_path.iterdir()) == []


def test_an_export_without_decisions_to_check_it_is_refused(policy, tmp_path):
    with pytest.raises(ConfigError, match="at least one"):
        export_onnx(policy, tmp_path / "x", [])


@pytest.mark.parametrize("name", ["policy.json", "check.json", "first.onnx", "later.onnx"])
@pytest.mark.parametrize("change", ["missing", "torn"])
def test_an_export_with_a_missing_or_torn_file_is_refused_with_the_files_name(exported, tmp_path, name, change):
    shutil.copytree(exported.folder, tmp_path / "x")
    path = tmp_path / "x" / name
    content = path.read_bytes()
    path.unlink()
    if change == "torn":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=rf"x/{name}: .*export it again"):
        OnnxPolicy.load(tmp_path / "x")


def test_an_export_that_decides_differently_on_this_machine_is_refused(exported, tmp_path):
    shutil.copytree(exported.folder, tmp_path / "x")
    path = tmp_path / "x" / "check.json"
    check = json.loads(path.read_text())
    check["backends"]["onnx"]["probabilities"][0] = [0.2, 0.3, 0.5]
    path.write_text(json.dumps(check))
    with pytest.raises(CheckpointError, match="decides differently on this machine"):
        OnnxPolicy.load(tmp_path / "x")


def test_int8_is_not_the_best_backend_if_it_is_less_accurate_slower_or_depends_on_the_batch():
    def report(accuracy: float, ms: float, company: float = 0.0) -> str:
        exact = export.BackendCheck("onnx", 0.0, 0, 0.9, 0.0, 2.0)
        int8 = export.BackendCheck("onnx-int8", 0.01, 1, accuracy, company, ms)
        return export.ExportReport(Path(), 1000, 0.9, (exact, int8)).best

    assert report(0.896, 1.0) == "onnx-int8"
    assert report(0.894, 1.0) == "onnx"
    assert report(0.9, 2.5) == "onnx"
    assert report(0.9, 1.0, 0.007) == "onnx"
    assert report(0.9, 1.0, float("nan")) == "onnx"


def _depend_on_company(monkeypatch, backend: str) -> None:
    """Let a backend answer as dynamic quantisation does: differently in a batch than alone."""
    think = OnnxPolicy.think

    def swayed(self, states, to_the_end=False):
        found, segments = think(self, states, to_the_end)
        return found + (0.01 if len(states) > 1 and self.backend == backend else 0), segments

    monkeypatch.setattr(OnnxPolicy, "think", swayed)


def test_int8_that_depends_on_the_batch_is_refused_by_auto_and_by_name(policy, tmp_path, monkeypatch):
    _depend_on_company(monkeypatch, "onnx-int8")
    policy.save(tmp_path / "m")
    report = export_onnx(policy, tmp_path / "m" / "onnx", examples_of(policy))
    assert report.backends[1].company_difference == pytest.approx(0.01, abs=1e-4)
    assert load_policy(tmp_path / "m").backend == "onnx"
    with pytest.raises(CheckpointError, match="onnx-int8 answers a state differently alone and in a batch"):
        load_policy(tmp_path / "m", backend="onnx-int8")


def test_float32_graphs_that_depend_on_the_batch_are_not_written(policy, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", 1.0)  # otherwise the earlier check would refuse it, too
    _depend_on_company(monkeypatch, "onnx")
    with pytest.raises(CheckpointError, match=r"answer a state differently alone and in a batch .*nothing was written"):
        export_onnx(policy, tmp_path / "x", examples_of(policy))
    assert list(tmp_path.iterdir()) == []


def test_auto_exports_once_and_again_if_the_export_is_torn(policy, tmp_path):
    policy.save(tmp_path / "m")
    said: list[str] = []

    def load(backend: str = "auto"):
        return load_policy(tmp_path / "m", backend=backend, examples=lambda: examples_of(policy), say=said.append)

    assert load().backend in ("onnx", "onnx-int8")
    assert len(said) == 1
    assert np.allclose(load("onnx").think(STATES)[0], policy.think(STATES)[0], atol=FLOAT_ROUNDING)
    assert len(said) == 1
    (tmp_path / "m" / "onnx" / "later.int8.onnx").write_bytes(b"torn")
    assert load("onnx-int8").backend == "onnx-int8"
    assert len(said) == 2


def test_auto_is_eager_and_says_so_without_an_export_and_decisions_to_check_it(policy, tmp_path):
    policy.save(tmp_path / "m")
    said: list[str] = []
    assert load_policy(tmp_path / "m", say=said.append).backend == "eager"
    assert "Deciding by the eager model" in said[0]
    with pytest.raises(CheckpointError, match="export it again"):
        load_policy(tmp_path / "m", backend="onnx")


def test_auto_is_eager_if_no_decision_can_check_an_export(policy, tmp_path):
    policy.save(tmp_path / "m")
    said: list[str] = []
    chosen = load_policy(tmp_path / "m", examples=lambda: [({}, "an action of another agent")], say=said.append)
    assert chosen.backend == "eager"
    assert "another agent" in said[-1]


def test_an_unknown_backend_is_refused_with_the_names_of_the_known_backends(tmp_path):
    with pytest.raises(ConfigError, match="'tensorrt': use " + ", ".join(BACKENDS)):
        load_policy(tmp_path, backend="tensorrt")


def test_openvino_decides_as_the_eager_model_does(exported, policy):
    pytest.importorskip("openvino")
    again = OnnxPolicy.load(exported.folder, runtime="openvino")
    assert again.backend == "openvino"
    assert np.allclose(again.think(STATES)[0], policy.think(STATES)[0], atol=LARGEST_DIFFERENCE)  # what a load allows


@pytest.mark.parametrize("form", [1, 2])  # 2: int8 with one scale for all states of a batch
def test_an_export_of_an_earlier_form_is_made_again(policy, tmp_path, form):
    model = tmp_path / "hrm@3"
    policy.save(model)
    export_onnx(policy, model / "onnx", examples_of(policy))
    check = json.loads((model / "onnx" / "check.json").read_text())
    (model / "onnx" / "check.json").write_text(json.dumps(check | {"form": form}))
    with pytest.raises(CheckpointError, match="another version of AEGIS"):
        OnnxPolicy.load(model / "onnx")
    assert load_policy(model, backend="onnx", examples=lambda: examples_of(policy)).backend == "onnx"


def test_only_the_first_load_exports_and_says_so(policy, tmp_path):
    policy.save(tmp_path / "m")

    def load() -> list[str]:
        told: list[str] = []
        heard = lambda what, done, total: told.append(what)  # noqa: E731
        load_policy(tmp_path / "m", examples=lambda: examples_of(policy), progress=heard)
        return told

    first, *exporting, last = load()
    assert (first, last) == ("Loading m", "Loading m")
    assert [what.split(": ")[0] for what in exporting] == [f"Exporting {policy.name}, step {n} of 3" for n in (1, 2, 3)]
    assert load() == ["Loading m"]
