"""The search's index grows beside the page, from the first look on."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aegis.dashboard.decisions import indexing, search
from aegis.dashboard.decisions.indexing import Indexing
from aegis.dashboard.decisions.search import open_index
from aegis.lifecycle import open_store
from tests.dashboard.conftest import add_decision, make_page


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(indexing, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(indexing, "_LOOK_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(search, "_STEP_ROWS", 3)


def share(workspace):
    with open_store(workspace) as store, open_index(workspace, store) as index:
        return index.reach(store.newest() + 1).share


def test_every_place_is_read_and_what_comes_later_too(workspace, point, wait_for):
    job = Indexing(lambda: [workspace, point])

    async def live():
        async with job.live(None):
            job.begin()
            job.begin()
            await asyncio.to_thread(wait_for, lambda: share(workspace) is None and share(point) is None)
            with open_store(workspace) as store:
                add_decision(store, 10)
            await asyncio.to_thread(wait_for, lambda: share(workspace) is None)

    asyncio.run(live())


def test_it_begins_with_the_first_look_at_a_server_that_lives(workspace, wait_for):
    page = make_page(workspace)
    assert page.get("/api/status").status == 200
    assert not workspace.state_index.exists()  # without a server's life there is no thread to end

    async def live():
        told, heard = asyncio.Queue(), asyncio.Queue()
        running = asyncio.create_task(page.app({"type": "lifespan"}, told.get, heard.put))
        await told.put({"type": "lifespan.startup"})
        assert (await heard.get())["type"] == "lifespan.startup.complete"
        assert (await asyncio.to_thread(page.get, "/api/status")).status == 200
        await asyncio.to_thread(wait_for, workspace.state_index.exists)
        await told.put({"type": "lifespan.shutdown"})
        await running

    asyncio.run(live())
    assert "aegis-indexing" not in [thread.name for thread in threading.enumerate()]
