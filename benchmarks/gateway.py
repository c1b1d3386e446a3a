"""What does a request pay for passing the gateway, and how many decisions a second does the service make?

    python -m benchmarks.gateway [--requests 1000 --rate 100 --decisions 2000]

An upstream that answers at once, the gateway and the client run on this machine, each in a process of its own. Requests
start at a steady rate, alternately direct and through the gateway; the overhead is the difference of the medians and of
the 99th percentiles, and what the gateway says itself (x-aegis-overhead-ms). The processor time depends less on what
else runs. The service's decisions are a rule's, each on the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

TOOLS = [
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
    """Run a process while the block runs; yields the address that its first line ends with, and the process's id."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1], process.pid
        finally:
            process.terminate()


def cpu_ms(process: int) -> float:
    """Return the processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make_body(kind: str, number: int) -> bytes:
    """Return a request: `chat`, free text of 2 KB, or `tools`, a choice that is recorded."""
    words = f"My order {number} is broken. " * (80 if kind == "chat" else 8)
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": words}]}
    return json.dumps(body | ({"tools": TOOLS} if kind == "tools" else {})).encode()


async def measure(urls: dict[str, str], kind: str, requests: int, rate: float) -> dict[str, list[float]]:
    """Return each request's milliseconds, by address; and what the gateway says that it cost."""
    took: dict[str, list[float]] = {name: [] for name in (*urls, "said")}
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:

        async def ask(name: str, number: int) -> None:
            began = time.perf_counter()
            response = await client.post(f"{urls[name]}/v1/chat/completions", content=make_body(kind, number))
            took[name].append(1000 * (time.perf_counter() - began))
            if said := response.headers.get("x-aegis-overhead-ms"):
                took["said"].append(float(said))

        names, tasks, began = list(urls), [], time.perf_counter()
        for number in range(requests * len(names)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            tasks.append(asyncio.ensure_future(ask(names[number % len(names)], number)))
        await asyncio.gather(*tasks)
    return took


async def count_decisions(url: str, decisions: int, at_once: int = 16) -> float:
    """Return how many decisions a second the service makes."""
    left = iter(range(decisions))
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:

        async def ask() -> None:
            for number in left:
                asked = {"point": "router", "state": {"ticket": f"order {number}"}}
                (await client.post(f"{url}/v1/decisions", json=asked)).raise_for_status()

        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(at_once)))
        return decisions / (time.perf_counter() - began)


def show(took: dict[str, list[float]], kind: str) -> None:
    """Print the medians and 99th percentiles."""
    figures = {name: (statistics.median(ms), statistics.quantiles(ms, n=100)[98]) for name, ms in took.items()}
    for name, (median, tail) in figures.items():
        print(f"{kind:<6} {name:<8} median {median:7.2f} ms   p99 {tail:7.2f} ms   n {len(took[name])}")
    more = [through - direct for through, direct in zip(figures["gateway"], figures["direct"], strict=True)]
    print(f"{kind:<6} overhead median {more[0]:7.2f} ms   p99 {more[1]:7.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000, help="of each kind, direct and through the gateway each")
    parser.add_argument("--rate", type=float, default=100, help="requests a second, both together")
    parser.add_argument("--decisions", type=int, default=2000)
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, started("-c", UPSTREAM) as (upstream, _):
        config = Path(folder, "serve.toml")
        config.write_text(
            f'[points.router]\nactions = ["refund", "answer"]\nteacher = "scripted"\ncollect = 1000000\n'
            f'[limits]\nrequests_per_second = 100000\n[[gateway.upstreams]]\nurl = "{upstream}/v1"\n'
        )
        serve = ("-m", "aegis", "serve", "--workspace", folder, "--port", "0", "--config", str(config))
        with started(*serve) as (gateway, process):
            urls = {"direct": upstream, "gateway": gateway}
            asyncio.run(measure(urls, "tools", 50, given.rate))  # the first ones open connections and the point
            for kind in ("chat", "tools"):
                before = cpu_ms(process)
                show(asyncio.run(measure(urls, kind, given.requests, given.rate)), kind)
                each = (cpu_ms(process) - before) / given.requests
                print(f"{kind:<6} processor time of the gateway: {each:.2f} ms each")
            before = cpu_ms(process)
            pace = asyncio.run(count_decisions(gateway, given.decisions))
            each = (cpu_ms(process) - before) / given.decisions
            print(f"decisions by a rule: {pace:.0f} a second, processor time {each:.2f} ms each")


if __name__ == "__main__":
    main()
