"""What holds for every test: no model hub, a cache folder of its own. Nothing here imports torch."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

# Before any test module is imported: huggingface_hub reads its variables once, at import.
_CACHE = tempfile.mkdtemp(prefix="aegis-tests-")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["AEGIS_CACHE"] = _CACHE
# Two torch programs whose threads spin while they wait stand still together.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A busy machine is no fault of the code: how long one example takes is not judged.
settings.register_profile("aegis", deadline=None)
settings.load_profile("aegis")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)
