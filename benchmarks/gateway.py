"""What does a request pay for passing the gateway, and how many decisions a second does an HRM make?

    python -m benchmarks.gateway [--requests 2000 --rate 100 --decisions 4000 --litellm /path/to/litellm]

An upstream that answers at once, the gateway and the client run on this machine, each in a process of its own. Requests
start at a steady rate, in turns of ten blocks: direct, through the gateway, through LiteLLM's proxy (a program of its
own: `pip install 'litellm[proxy]'` in another environment). The overhead is the difference of the medians and of the
99th percentiles, and what the gateway says itself (x-aegis-overhead-ms). The processor time depends less on what else
runs; the load of the machine is printed before and after. The HRM has 29 million parameters, is untrained, and stops
thinking after its first segment (trained ones take one or two). Each of its decisions is on the disk before its answer.
Who asks is a bare client, so that its own time is small; it shares the cores with the server and the upstream.

A virtual machine may run at a tenth of its speed for some 50 ms, by its host's doing. So the client also times a loop
that is always the same, at each start and end of a request. Requests beside which that loop took twice its median are
counted in the first figures and left out of the second ("steady"), direct ones and others alike. The last line tells
which part of the cores' time the host gave to others (Linux: "steal"): where it is much, all figures are slow.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import httpx2

if TYPE_CHECKING:
    from aegis.hrm import HRMPolicy

BLOCKS, AT_ONCE = 10, 16
NEAR_SECONDS = 0.02
WORDS = {str(number): number for number in range(300)}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "description": f"To {name}", "parameters": {"type": "object"}}}
    for name in ("search", "refund", "escalate", "close")
]
UPSTREAM = """
import json, sys, uvicorn
call = {"id": "c", "type": "function", "function": {"name": "refund", "arguments": "{}"}}
choice = {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": [call]}}
BODY = json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", access_log=False))
import asyncio
async def main():
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print("at", "http://127.0.0.1:%d" % server.servers[0].sockets[0].getsockname()[1], flush=True)
    await task
asyncio.run(main())
"""


@contextlib.contextmanager
def started(*command: str) -> Iterator[tuple[str, int]]:
    """Run a process while the block runs; yields the first address that a line ends with, and the process's id."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ends = (line.split()[-1:] for line in process.stdout)
            yield next(end[0] for end in ends if end and end[0].startswith("http")), process.pid
        finally:
            process.terminate()


def cpu_ms(process: int) -> float:
    """Return the processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stolen_seconds() -> float:
    """Return the time that the host has taken from all cores since this machine started (Linux)."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")


def make_body(kind: str, number: int) -> bytes:
    """Return a request: `chat`, free text of 2 KB; `tools`, a choice that is recorded; `choice`, one that must be made.

    At the point `router` an HRM makes the last one.
    """
    words = f"My order {number} is broken. " * (80 if kind == "chat" else 8)
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": words}]}
    if kind != "chat":
        body["tools"] = TOOLS
    if kind == "choice":
        body["tool_choice"] = "required"
    return json.dumps(body).encode()


class BareClient:
    """Asks a server over connections that it keeps, and takes a tenth of the time that an agent's own client takes.

    headers: of every request. Raises `RuntimeError` for an answer other than 200.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._address = urlsplit(url)
        named = {"host": self._address.netloc, "content-type": "application/json", **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes) -> tuple[dict[str, str], bytes]:
        """Return an answer's headers, in lower case, and its body."""
        while self._idle and self._idle[-1][0].at_eof():
            self._idle.pop()[1].close()  # a server ends a connection that is idle for some seconds
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        head = f"POST {path} HTTP/1.1\r\n{self._head}content-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        content = await reader.readexactly(int(headers["content-length"]))
        if first.split()[1] != "200":
            raise RuntimeError(f"{path}: {first}: {content[:300].decode()}")
        self._idle.append((reader, writer))
        return headers, content

    def close(self) -> None:
        """Close the connections."""
        for _, writer in self._idle:
            writer.close()


class Pacer:
    """Times a loop that is always the same, to tell when the machine itself is slow."""

    def __init__(self) -> None:
        self._took: list[tuple[float, float]] = []

    def look(self) -> float:
        """Time the loop once, some 0.1 ms; returns the time now in seconds.

        Processor time: a core that another process of this benchmark holds does not make the loop slow.
        """
        began, before = time.perf_counter(), time.thread_time()
        sum(WORDS[str(number)] for number in range(300))
        self._took.append((began, time.thread_time() - before))
        return time.perf_counter()

    def find_slow(self) -> list[float]:
        """Return when the loop took twice its median, in seconds, ascending."""
        usual = statistics.median(took for _, took in self._took)
        return sorted(began for began, took in self._took if took > 2 * usual)


class Asked(NamedTuple):
    """A request: when it began, in seconds, and how long it took, in milliseconds."""

    began: float
    ms: float


def keep_steady(asked: list[Asked], slow: list[float]) -> list[Asked]:
    """Return the requests with no slow moment within 20 ms of them. slow: seconds, ascending."""
    kept = []
    for one in asked:
        after = bisect.bisect_left(slow, one.began - NEAR_SECONDS)
        if after == len(slow) or slow[after] > one.began + one.ms / 1000 + NEAR_SECONDS:
            kept.append(one)
    return kept


async def measure(urls: dict[str, str], kind: str, requests: int, rate: float, pacer: Pacer) -> dict[str, list[Asked]]:
    """Return each request, by address; and what the gateway says that it cost."""
    took: dict[str, list[Asked]] = {name: [] for name in (*urls, "said")}
    with contextlib.ExitStack() as stack:
        clients = {
            name: BareClient(url, {"authorization": "Bearer sk", "x-aegis-point": "tools"})
            for name, url in urls.items()
        }
        for client in clients.values():
            stack.callback(client.close)

        async def ask(name: str, number: int) -> None:
            began = pacer.look()
            headers, _ = await clients[name].post("/v1/chat/completions", make_body(kind, number))
            took[name].append(Asked(began, 1000 * (time.perf_counter() - began)))
            pacer.look()
            if said := headers.get("x-aegis-overhead-ms"):
                took["said"].append(Asked(began, float(said)))

        for block in range(BLOCKS):
            for name in urls:
                tasks, began = [], time.perf_counter()
                for number in range(requests // BLOCKS):
                    await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                    tasks.append(asyncio.ensure_future(ask(name, block * requests + number)))
                await asyncio.gather(*tasks)
    return took


async def count_decisions(url: str, path: str, bodies: Callable[[int], bytes], decisions: int) -> tuple[float, float]:
    """Return how many decisions a second come back, 16 asked for at once, and the share that an HRM made."""
    left, by_hrm = iter(range(decisions)), 0
    client = BareClient(url, {"x-aegis-point": "router"})

    async def ask() -> None:
        nonlocal by_hrm
        for number in left:
            headers, content = await client.post(path, bodies(number))
            by_hrm += (headers.get("x-aegis-policy") or json.loads(content)["policy"]).startswith("hrm@")

    with contextlib.closing(client):
        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
        return decisions / (time.perf_counter() - began), by_hrm / decisions


def show(took: dict[str, list[Asked]], kind: str) -> None:
    """Print the medians and 99th percentiles."""
    figures = {}
    for name, asked in took.items():
        ms = [one.ms for one in asked]
        median, tail = figures[name] = (statistics.median(ms), statistics.quantiles(ms, n=100)[98])
        print(f"{kind:<14} {name:<8} median {median:7.2f} ms   p99 {tail:7.2f} ms   n {len(asked)}")
    for name in figures.keys() - {"direct", "said"}:
        more = [through - direct for through, direct in zip(figures[name], figures["direct"], strict=True)]
        print(f"{kind:<14} {name} overhead: median {more[0]:7.2f} ms   p99 {more[1]:7.2f} ms")


@contextlib.contextmanager
def litellm_proxy(program: str, folder: str, upstream: str) -> Iterator[str]:
    """Run LiteLLM's proxy before the upstream while the block runs; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config, url = Path(folder, "litellm.yaml"), f"http://127.0.0.1:{port}"
    model = {"model_name": "m", "litellm_params": {"model": "openai/m", "api_base": f"{upstream}/v1", "api_key": "sk"}}
    config.write_text(json.dumps({"model_list": [model]}), encoding="utf-8")  # JSON is YAML, too
    command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    alone = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    with subprocess.Popen(
        command, env=os.environ | alone, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(httpx2.HTTPError):
                    if httpx2.get(f"{url}/health/liveliness", trust_env=False).status_code == 200:
                        break
                time.sleep(0.2)
            else:
                raise TimeoutError(f"{program}: does not answer after two minutes")
            yield url
        finally:
            process.terminate()


def save_exported(policy: HRMPolicy) -> Callable[[str, Path], None]:
    """Return what saves a policy with its export, as a training does."""
    from aegis.hrm import load_policy

    def save(name: str, folder: Path) -> None:
        policy.save_as(name, folder)
        first = policy.actions.names[0]
        load_policy(folder, "cpu", "auto", lambda: [({"ticket": f"order {number}"}, first) for number in range(40)])

    return save


def make_workspace(folder: str, upstream: str) -> Path:
    """Make a point whose HRM decides everything, and return the server's configuration.

    The point `tools` collects without end: a training would take the processor from what is measured.
    """
    import torch

    from aegis.config import HRMConfig
    from aegis.hrm import HRM, HRMPolicy
    from aegis.hrm.codec import StateCodec
    from aegis.lifecycle import open_store
    from aegis.lifecycle.point import read_actions
    from aegis.promotion import ModelRegistry
    from aegis.serving import PointBook
    from aegis.serving.point import NewPoint
    from aegis.workspace import Workspace

    with contextlib.closing(PointBook(Path(folder), {})) as book:
        book.find("router", NewPoint([tool["function"]["name"] for tool in TOOLS], "m", f"{upstream}/v1"))
    workspace = Workspace(Path(folder)).point("router")
    hrm = HRM(HRMConfig())
    torch.nn.init.constant_(hrm.halting.bias, 10.0)
    with open_store(workspace) as store:
        policy = HRMPolicy(hrm, StateCodec(128), read_actions(store))
        ModelRegistry(store, workspace).promote(save_exported(policy))
    config = Path(folder, "serve.toml")
    config.write_text(
        '[points.router]\nmode = "switch"\n[points.tools]\ncollect = 1000000000\n[limits]\n'
        "requests_per_second = 100000\n[gateway]\nassist_seconds = 30\n"
        f'requests_per_second = 100000\n[[gateway.upstreams]]\nurl = "{upstream}/v1"\n',
        encoding="utf-8",
    )
    return config


def measure_decisions(gateway: str, process: int, decisions: int) -> None:
    """Print how many decisions a second an HRM makes, asked as a point and as a language model."""
    kinds: dict[str, tuple[str, Callable[[int], bytes]]] = {
        "/v1/decisions": (
            "/v1/decisions",
            lambda number: json.dumps({"point": "router", "state": {"ticket": f"order {number}"}}).encode(),
        ),
        "the gateway": ("/v1/chat/completions", lambda number: make_body("choice", number)),
    }
    for name, (path, bodies) in kinds.items():
        asyncio.run(count_decisions(gateway, path, bodies, 50))  # the first ones load the HRM
        before, own = cpu_ms(process), time.process_time()
        pace, share = asyncio.run(count_decisions(gateway, path, bodies, decisions))
        each, own = (cpu_ms(process) - before) / decisions, 1000 * (time.process_time() - own) / decisions
        print(
            f"{name}: {pace:.0f} decisions a second, {share:.0%} by the HRM, processor time {each:.2f} ms each,"
            f" and {own:.2f} ms of whoever asks",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="of each kind and way")
    parser.add_argument("--rate", type=float, default=100, help="requests a second")
    parser.add_argument("--decisions", type=int, default=4000)
    parser.add_argument("--litellm", default="", help="LiteLLM's program, to measure its proxy the same way")
    given = parser.parse_args()
    load = lambda: f"load {os.getloadavg()[0]:.1f}"  # noqa: E731
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {load()}")
    began, stolen = time.monotonic(), stolen_seconds()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        upstream, _ = stack.enter_context(started("-c", UPSTREAM))
        config = make_workspace(folder, upstream)
        serve = ("-m", "aegis", "serve", "--workspace", folder, "--port", "0", "--config", str(config))
        gateway, process = stack.enter_context(started(*serve))
        urls = {"direct": upstream, "gateway": gateway}
        if given.litellm:
            urls["litellm"] = stack.enter_context(litellm_proxy(given.litellm, folder, upstream))
        asyncio.run(measure(urls, "tools", 50, given.rate, Pacer()))  # the first ones open connections and the point
        for kind in ("chat", "tools"):
            before = cpu_ms(process)
            pacer = Pacer()
            took = asyncio.run(measure(urls, kind, given.requests, given.rate, pacer))
            show(took, kind)
            slow = pacer.find_slow()
            show({name: keep_steady(asked, slow) for name, asked in took.items()}, f"{kind}, steady")
            each = (cpu_ms(process) - before) / given.requests
            print(f"{kind:<14} processor time of the gateway: {each:.2f} ms each, {load()}", flush=True)
        measure_decisions(gateway, process, given.decisions)
    share = (stolen_seconds() - stolen) / (time.monotonic() - began) / (os.cpu_count() or 1)
    print(f"{load()}, taken by the host: {share:.1%} of the cores' time")


if __name__ == "__main__":
    main()
