"""How much faster do many agents collect on Ray, and what do deaths cost? `python -m benchmarks.ray_collect`.

The teacher is a server of this process that thinks for 100 ms about each request, and answers some with nonsense. Two
nodes of Ray run on this machine. Measured: decisions a second by 1 and by 4 agents, from the first decision recorded to
the last. Then 4 agents collect while one's process is killed, and later the whole second node: the decisions in the
store are compared with those that were acknowledged.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aegis.cluster.asking import TeacherOrder
from aegis.cluster.connection import own_node
from aegis.cluster.teacher import TeacherActors
from aegis.config import AgentConfig, EndpointConfig
from aegis.lifecycle import open_store
from aegis.research.fleet.agent import AgentOrder, Handover
from aegis.research.fleet.collect import Fleet
from aegis.research.fleet.writer import Writer
from aegis.research.rewards import make_table
from aegis.store import DecisionStore
from aegis.workspace import Workspace

_WORDS = ("search", "search", "search", "idle", "ask", "propose")


@dataclass(slots=True)
class SlowServer:
    """An OpenAI-compatible server that thinks before each answer; one answer of `nonsense_every` is no action."""

    seconds: float = 0.1
    nonsense_every: int = 40
    requests: int = 0
    address: str = field(default="", init=False)

    def allows(self, key: str | None) -> bool:
        """Tell whether a request with this `Authorization` is answered."""
        return True

    def answer(self, document: dict[str, Any]) -> dict[str, Any]:
        self.requests += 1
        time.sleep(self.seconds)
        number = int.from_bytes(hashlib.sha256(document["messages"][-1]["content"].encode()).digest()[:8], "big")
        said = "banana" if number % self.nonsense_every == 0 else _WORDS[number % len(_WORDS)]
        return {
            "choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 200, "completion_tokens": 1},
        }


@contextlib.contextmanager
def serving(server: SlowServer) -> Iterator[SlowServer]:
    """Answer requests while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            allowed = server.allows(self.headers.get("Authorization"))
            body = json.dumps(server.answer(document) if allowed else {"error": {"message": "no key"}}).encode()
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # of an asker that was killed
                super().handle()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    server.address = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """Start two nodes of Ray on this machine and connect to the first; yield what removes the second."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=2)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        cluster.wait_for_nodes()
        yield lambda: cluster.remove_node(second, allow_graceful=False)
    finally:
        ray.shutdown()
        cluster.shutdown()


class WatchedWriter(Writer):
    """A writer that keeps what it has acknowledged, and when."""

    def __init__(self, store: DecisionStore, failures: Path) -> None:
        super().__init__(store, failures)
        self.acknowledged: list[str] = []
        self.moments: list[float] = []

    def write(self, handed: Handover) -> None:
        super().write(handed)
        self.acknowledged += [example.decision.id for example in handed.examples]
        self.moments += [time.perf_counter()] * len(handed.examples)


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection came to."""

    per_second: float
    recorded: int
    acknowledged: int
    lost: int
    """Acknowledged, and not in the store"""
    doubled: int
    replaced: int
    failures: int


def collect(
    folder: Path,
    server: SlowServer,
    agents: int,
    decisions: int,
    during: Callable[[Fleet, int], None] = lambda fleet, done: None,
) -> Collected:
    """Collect into a new workspace. during: called after each handover with the decisions so far."""
    workspace = Workspace(folder)
    with open_store(workspace) as store, contextlib.ExitStack() as stack:
        order = TeacherOrder(f"openai:slow@{server.address}", "cpu", EndpointConfig(), workspace.database)
        teachers = stack.enter_context(contextlib.closing(TeacherActors(order, agents)))
        store.claim_teacher(teachers.claim.name, 0, teachers.claim.source)
        writer = WatchedWriter(store, workspace.logs / "failures.jsonl")
        config = AgentConfig()

        def make(place: int) -> AgentOrder:
            return AgentOrder(teachers.teacher(place), config, make_table(config.rewards), "offline", None, True, 0)

        fleet = Fleet(make, agents, writer)
        fleet.on_progress = lambda done: during(fleet, done)
        fleet.collect(decisions)
        ids = Counter(decision.id for decision in store.decisions())
    first = writer.moments[0]
    later = [moment for moment in writer.moments if moment > first]
    return Collected(
        per_second=len(later) / (writer.moments[-1] - first),
        recorded=ids.total(),
        acknowledged=len(writer.acknowledged),
        lost=len(set(writer.acknowledged) - set(ids)),
        doubled=ids.total() - len(ids),
        replaced=fleet.replaced,
        failures=writer.written.failures,
    )


class Deaths:
    """Kills the process of an agent that is not on this node, and later the other node, when so much is recorded."""

    def __init__(self, decisions: int, remove_node: Callable[[], None]) -> None:
        self._at = [decisions // 4, decisions // 2]
        self._remove_node = remove_node
        self.killed: list[str] = []

    def __call__(self, fleet: Fleet, done: int) -> None:
        if self._at and done >= self._at[0]:
            self._at.pop(0)
            if self.killed:
                self._remove_node()
                self.killed.append("a node")
            else:
                self._kill_agent(fleet)

    def _kill_agent(self, fleet: Fleet) -> None:
        import ray

        places = [ray.get(actor.process.remote()) for actor in fleet.actors.values()]
        _, process = next((place for place in places if place[0] == own_node()), places[0])
        os.kill(process, signal.SIGKILL)
        self.killed.append("an agent")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=200, help="of each collection")
    parser.add_argument("--agents", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, serving(SlowServer()) as server, two_nodes() as remove_node:
        one = collect(Path(scratch) / "one", server, 1, options.decisions)
        many = collect(Path(scratch) / "many", server, options.agents, options.decisions)
        print(f"1 agent:  {one.per_second:.1f} decisions/s, {one.recorded} recorded, {one.failures} without an answer")
        times = many.per_second / one.per_second
        print(
            f"{options.agents} agents: {many.per_second:.1f} decisions/s ({times:.2f} times), {many.failures} without"
        )
        deaths = Deaths(options.decisions, remove_node)
        hurt = collect(Path(scratch) / "hurt", server, options.agents, options.decisions, deaths)
        print(
            f"killed {' and '.join(deaths.killed)}: {hurt.recorded} recorded of {options.decisions}, {hurt.replaced}"
            f" agents replaced, {hurt.acknowledged} acknowledged, {hurt.lost} lost, {hurt.doubled} doubled"
        )


if __name__ == "__main__":
    main()
