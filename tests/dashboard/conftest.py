"""A workspace with an agent's decisions and a decision point, and the dashboard asked without a socket."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from aegis.dashboard.app import make_dashboard
from aegis.dashboard.place import Places
from aegis.lifecycle import open_store
from aegis.serving.access import TokenBook, draw_token
from aegis.types import Action, Decision, Outcome
from aegis.workspace import Workspace

NAMES = ("web_search", "ask_human", "idle")
HOST = "127.0.0.1:8701"


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace in which the agent's teacher made ten decisions."""
    place = Workspace(tmp_path / "work")
    with open_store(place) as store:
        store.claim_teacher("gpt2", 124_000_000, "a test")
        for number in range(10):
            add_decision(store, number)
    return place


def add_decision(store, number, action="web_search", policy="gpt2", state=None, reward=1.0, **fields):
    """Append one decision with its outcome; return it."""
    argument = {"query": f"what is {number}?"} if action == "web_search" else {}
    decision = Decision(
        fields.pop("episode", "episode"),
        number,
        state or {"goal": f"goal {number}"},
        fields.pop("actions", NAMES),
        Action(action, argument),
        fields.pop("probabilities", (0.7, 0.2, 0.1)),
        policy,
        f"decision-{number}",
        **fields,
    )
    store.append(decision)
    store.record_outcome(Outcome(decision.id, "ok", 1, reward, "found", components={"new": reward}))
    return decision


@pytest.fixture
def point(workspace):
    """Return the workspace of a decision point beside the agent, in which a function made one decision."""
    import aegis

    actions = ("refund", "answer")
    with aegis.Decider("router", actions, lambda state, actions: "refund", workspace=workspace.folder) as decider:
        decider.decide({"ticket": "broken"})
    return workspace.point("router")


@dataclass
class Answered:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Page:
    """A dashboard and its token. Each request has the cookie, unless `cookie` is other."""

    app: Any
    token: str
    cookie: str = field(default="")

    def __post_init__(self):
        self.cookie = f"aegis-8701={self.token}"

    def get(self, path, **headers):
        return self.ask("GET", path, b"", headers)

    def post(self, path, fields, **headers):
        own = {"content-type": "application/json", "x-aegis-dashboard": "1", "origin": f"http://{HOST}"}
        return self.ask("POST", path, json.dumps(fields).encode(), own | headers)

    def ask(self, method, path, body, headers):
        given = {"host": HOST, "cookie": self.cookie} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "scheme": "http",
        }
        return asyncio.run(_call(self.app, scope, body))


async def _call(app, scope, body):
    sent, given = [], [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return given.pop() if given else await asyncio.Future()

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answered(start["status"], headers, b"".join(one.get("body", b"") for one in sent[1:]))


@pytest.fixture
def page(workspace):
    """Return the dashboard of the test's workspace."""
    return make_page(workspace)


def make_page(workspace, only=None, **options):
    secret, token = draw_token("dashboard", ["manage"])
    return Page(make_dashboard(Places(workspace, only), TokenBook([token]), **options), secret)
