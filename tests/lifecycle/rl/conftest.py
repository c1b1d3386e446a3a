"""An agent in simulation, and what improves its HRM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aegis.lifecycle import open_store
from aegis.lifecycle.rl.worker import ImprovementWorker
from tests.lifecycle.rl.life import LEARNS, Life


@pytest.fixture
def life(workspace) -> Iterator[Life]:
    with open_store(workspace) as store:
        life = Life(workspace, store)
        life.begin()
        yield life


@pytest.fixture
def improver(life) -> ImprovementWorker:
    return ImprovementWorker(life.store, life.workspace, LEARNS)
