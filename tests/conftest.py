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
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # tests run beside what they start

# A busy machine is no fault of the code: how long one example takes is not judged.
settings.register_profile("aegis", deadline=None)
settings.load_profile("aegis")


@pytest.fixture(scope="session")
def search_index() -> None:
    """Put a small index, of Python's own documentation alone, where offline search looks for that of everything.

    That one takes a minute to make; this one stands in for it in this process and in those that tests start.
    """
    from aegis.agent.search import Corpus
    from aegis.agent.search.index import build_index
    from aegis.agent.search.offline import default_index_path

    path = default_index_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    build_index(path, Corpus(site_folders=(), standard_library=None).passages(), Corpus().fingerprint())


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)
