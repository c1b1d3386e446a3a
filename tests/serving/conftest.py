"""A server of a test's own, on a free port of this machine, in a thread; and an HRM that a test lets serve."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from aegis.config import HRMConfig
from aegis.lifecycle import open_store
from aegis.lifecycle.point import read_actions
from aegis.promotion import ModelRegistry, keep_answers, write_answers
from aegis.serving import Listening, PointBook, ServeConfig, TokenBook, make_app
from aegis.serving.point import NewPoint
from aegis.serving.server import listen
from aegis.workspace import Workspace

ACTIONS = ("refund", "escalate", "answer")
POINT = "support-router"
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


class Hurried:
    """asyncio for uvicorn, whose loop looks ten times a second whether it is to end, and waits as long at its end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 10)


@pytest.fixture(scope="session", autouse=True)
def hurried_servers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uvicorn.server.asyncio", Hurried())
        yield


class Running:
    """An application that listens, until `stop`."""

    def __init__(self, app: Any) -> None:
        self.bound = listen(Listening(port=0))
        self.url = f"http://127.0.0.1:{self.bound.getsockname()[1]}"
        options = uvicorn.Config(app, log_level="error", lifespan="on", server_header=False, date_header=False)
        self.server = uvicorn.Server(options)
        self.thread = threading.Thread(target=self.server.run, args=([self.bound],))
        self.thread.start()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()  # a second call finds it ended
        self.bound.close()


@pytest.fixture
def run_app(wait_for):
    """Return what lets an application listen; every one is stopped at the end."""
    running = []

    def run(app):
        one = Running(app)
        running.append(one)
        wait_for(lambda: one.server.started or not one.thread.is_alive())
        return one

    yield run
    for one in running:
        one.stop()


@dataclass
class Served:
    """A server over a workspace, and a client of it."""

    url: str
    points: PointBook
    client: httpx2.Client
    running: Running

    def decide(self, state: Any = None, **fields: Any) -> httpx2.Response:
        asked = {"point": POINT, "state": state or {"ticket": "my broken phone"}, **fields}
        return self.client.post("/v1/decisions", json=asked)

    def metrics(self) -> str:
        return self.client.get("/metrics").text


@pytest.fixture
def start(run_app, tmp_path):
    """Return what starts a server over the test's workspace, in which there is one point that clients decide."""
    clients = []

    def start(config: ServeConfig | None = None, tokens: TokenBook | None = None, token: str = "") -> Served:
        points = PointBook(tmp_path, config.points if config else {})
        if not config or not config.points:
            points.find(POINT, NewPoint(ACTIONS, "gpt", "https://upstream"))
        points.open_configured()
        running = run_app(make_app(points, config, tokens))
        headers = {"authorization": f"Bearer {token}"} if token else {}
        clients.append(httpx2.Client(base_url=running.url, headers=headers, timeout=60, trust_env=False))
        return Served(running.url, points, clients[-1], running)

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def promote(tmp_path):
    """Return what lets a new tiny HRM serve at a point, by default the test's."""
    from aegis.hrm import HRM, HRMPolicy
    from aegis.hrm.codec import StateCodec

    def promote(point: str = POINT) -> str:
        workspace = Workspace(tmp_path).point(point)
        with open_store(workspace) as store:
            policy = HRMPolicy(HRM(TINY), StateCodec(48), read_actions(store))

            def save(name: str, folder: Path) -> None:
                policy.save_as(name, folder)
                rows = [[0.5, *[0.5 / (len(policy.actions) - 1)] * (len(policy.actions) - 1)]] * 4
                write_answers(folder, keep_answers(rows, [0] * 4, ["a", "b", "c", "d"], policy.actions.names))

            return ModelRegistry(store, workspace).promote(save).name

    return promote


@pytest.fixture
def point_store(tmp_path):
    """Return the store of the test's point."""
    with open_store(Workspace(tmp_path).point(POINT)) as store:
        yield store
