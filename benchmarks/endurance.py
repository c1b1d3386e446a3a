"""Does the memory of `aegis serve` stay flat? As many requests as it has in eight hours, one after another.

    nice python -m benchmarks.endurance [--requests 288000 --at-once 8 --csv FILE]

288,000 requests are 10 a second for 8 hours; here they come at full pace. Each third one is a decision of an HRM at
`/v1/decisions`, the others pass the gateway: free text, and a choice that is recorded. The server's resident memory is
printed after each hundredth of the requests, and the reason of each request that was not answered with 200. The HRM and
the upstream are those of `benchmarks.gateway`. A stopped run can't be continued; its figures stay in the file of --csv.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from benchmarks.gateway import UPSTREAM, cpu_ms, make_body, make_workspace, started

STEPS = 100
_WARM = 10
"""Steps before the first memory that counts: caches and the database's pages fill first"""


def memory_mb(process: int) -> float:
    """Return the resident memory of a process (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def request_of(number: int) -> tuple[str, bytes]:
    """Return the path and the body of a request."""
    if number % 3 == 0:
        return "/v1/decisions", json.dumps({"point": "router", "state": {"ticket": f"order {number}"}}).encode()
    return "/v1/chat/completions", make_body("chat" if number % 3 == 1 else "tools", number)


async def send(client: httpx2.AsyncClient, numbers: range, at_once: int) -> list[str]:
    """Send requests, some at once; return why those failed that did."""
    left, failures = iter(numbers), []

    async def worker() -> None:
        for number in left:
            path, body = request_of(number)
            try:
                response = await client.post(path, content=body)
            except httpx2.HTTPError as error:
                failures.append(f"request {number}, {path}: {type(error).__name__}: {error}")
                continue
            if response.status_code != 200:
                failures.append(f"request {number}, {path}: {response.status_code} {response.text[:300]}")

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return failures


async def run(url: str, process: int, requests: int, at_once: int, csv: Path | None) -> list[float]:
    """Send all requests; return the memory after each step, in MB."""
    memory, failed, began, each = [], 0, time.monotonic(), requests // STEPS
    headers = {"content-type": "application/json", "x-aegis-point": "tools"}
    async with httpx2.AsyncClient(base_url=url, timeout=120, trust_env=False, headers=headers) as client:
        for step in range(STEPS):
            for failure in await send(client, range(step * each, (step + 1) * each), at_once):
                failed += 1
                print(f"{datetime.now(UTC):%H:%M:%S} not answered with 200: {failure}", flush=True)
            memory.append(memory_mb(process))
            sent, seconds = (step + 1) * each, time.monotonic() - began
            line = f"{sent},{seconds:.0f},{memory[-1]:.1f},{failed},{cpu_ms(process) / sent:.2f}"
            if csv is not None:
                with csv.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            if step % 10 == 9:
                print(f"{sent:,} requests, {seconds:,.0f} s: {memory[-1]:.1f} MB, {failed} failed", flush=True)
    return memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=288_000)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--csv", type=Path, help="append requests, seconds, MB, failures, processor ms each")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        upstream, _ = stack.enter_context(started("-c", UPSTREAM))
        config = make_workspace(folder, upstream)
        serve = ("-m", "aegis", "serve", "--workspace", folder, "--port", "0", "--config", str(config))
        url, process = stack.enter_context(started(*serve))
        memory = asyncio.run(run(url, process, given.requests, given.at_once, given.csv))
    first, last = memory[_WARM], memory[-1]
    print(f"{first:.1f} MB after a tenth, {last:.1f} MB at the end: {last / first - 1:+.1%}, peak {max(memory):.1f} MB")


if __name__ == "__main__":
    main()
