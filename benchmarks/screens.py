"""The pictures of the dashboard in docs/, from a real run: `python -m benchmarks.screens [--look FOLDER]`.

Makes a workspace (kept in --folder, and used again): the research agent decides 60 times by the scripted teacher; a
decision point with a rule as its teacher trains a small HRM, which decides what is certified, and trains again; another
point has 40 actions with long names. Then Debian's Chromium opens each view. --look: every view in light on a screen,
and in dark at a telephone's width, for a person who judges them. Needs Playwright and Chromium, as `make test-browser`.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from aegis.config import HRMConfig, MonitorConfig, TrainingConfig
from aegis.door import Decider, DeciderConfig
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry
from aegis.research import ApprovalQueue, Inbox
from aegis.research.proposals import Proposal
from aegis.types import utc_now
from aegis.workspace import Workspace

CHROMIUM = "/usr/bin/chromium"
POINT, TOOLS = "support-router", "tool-picker-with-a-name-that-is-as-long-as-a-name-may-be-here"
SMALL = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2)
RULES = {
    "refund": ("it arrived broken", "it is cracked", "I was charged twice", "it never worked"),
    "escalate": ("I want a lawyer", "I will post this everywhere", "I am furious", "I asked five times already"),
    "answer": ("how do I reset it", "which cable fits", "where is the manual", "can it be washed"),
    "close": ("thanks, it works", "solved it myself", "no further questions", "please ignore this"),
    "ask_for_photo": ("it has a strange mark", "it looks different", "a part seems missing", "the colour is wrong"),
}
THINGS = ("kettle", "headset", "blue lamp", "tracker", "e-reader", "toaster", "keyboard", "scale")
DECISIONS, LATER = 500, 150
"""Of the first point's teacher, until its HRM decides; and after that"""
VIEWS = ("allow", "now", "look", "learning", "inbox", "knowledge", "models")
PICTURES = {
    "allow": ("allow", 1180, 790),
    "now": (f"now?point={POINT}", 1180, 900),
    "look": (f"look?point={POINT}", 1180, 900),
    "decision": (f"look?point={POINT}&policy=hrm@1", 1180, 1000),
    "learning": (f"learning?point={POINT}", 1180, 1000),
    "knowledge": ("knowledge", 1180, 900),
    "inbox": ("inbox", 1180, 620),
    "models": (f"models?point={POINT}", 1180, 900),
}
"""The view, the width and the height of each picture in docs/"""


def draw_ticket(rng: random.Random) -> dict[str, Any]:
    """Return a ticket; one in fourteen says little."""
    said = rng.choice(rng.choice(list(RULES.values()))) if rng.random() < 0.93 else "it is not what I expected"
    return {"ticket": f"My {rng.choice(THINGS)}: {said}", "customer_for_years": rng.randrange(9)}


def shop_rules(state: Any, actions: Any) -> str:
    """Return what the ticket's words ask for; where they ask for nothing, what looks arbitrary."""
    asked = next((action for action, words in RULES.items() if any(one in state["ticket"] for one in words)), None)
    return asked or list(RULES)[sum(map(ord, state["ticket"])) * (1 + state["customer_for_years"]) % len(RULES)]


def first_tool(state: Any, actions: Any) -> str:
    """Return a tool by the task's length."""
    return str(actions[len(state["task"]) % len(actions)])


def make_run(folder: Path) -> None:
    """Let the agent and two decision points decide; go on where an earlier run was stopped."""
    if not (place := Workspace(folder)).database.exists():
        made = [sys.executable, "-m", "aegis", "collect", "--workspace", str(folder), "--teacher", "scripted"]
        subprocess.run([*made, "--decisions", "60", "--seed", "1", "--vary-presence"], check=True)
        _ask(place)
    rng = random.Random(3)
    training = TrainingConfig(epochs=8, learning_rate=0.004, batch_size=16)
    settings = DeciderConfig("assist", DECISIONS, 0.5, model=SMALL, training=training, monitor=MonitorConfig(0.05))
    with Decider(POINT, tuple(RULES), shop_rules, workspace=folder, config=settings) as decider:
        made_by_hrm, number = 0, 0
        while made_by_hrm < LATER:
            state = draw_ticket(rng)
            decided = decider.decide(state, episode=f"customer {number // 4}")
            decider.report(decided, reward=1.0 if decided.action == shop_rules(state, ()) else -0.5)
            made_by_hrm += decided.policy.startswith("hrm@")
            number += 1
            if number >= DECISIONS and not made_by_hrm:
                threading.Event().wait(0.5)  # the training beside it has a process of its own
    names = tuple(f"tool_{place:02}_{'very_' * (place % 7)}long_name_of_a_tool" for place in range(40))
    with Decider(TOOLS, names, first_tool, workspace=folder) as decider:
        for length in range(12):
            decider.decide({"task": f"task {'x' * length} of somebody", "link": "https://example.org/" + "long/" * 30})


def _ask(workspace: Workspace) -> None:
    """Let a question and a proposal wait, as an agent that runs would."""
    with open_store(workspace) as store:
        first, second = (row["id"] for row in store.database.query("SELECT id FROM decisions LIMIT 2"))
        question = "Shall I prefer the handbook of the version that is installed here, or the newest one?"
        Inbox(store.database).ask(first, question, utc_now(), 1e7)
        proposal = Proposal("epochs", 20, 30, "the held-out accuracy still rose in the last epoch", 1.0)
        ApprovalQueue(store.database).propose(second, proposal, utc_now(), 1e7)


def describe(folder: Path) -> None:
    """Print what the run made."""
    place = Workspace(folder).point(POINT)
    with open_store(place) as store:
        versions = [f"{one.name} ({one.figures.get('accuracy')})" for one in ModelRegistry(store, place).models()]
        print(f"{POINT}: {store.newest()} decisions, versions {', '.join(versions) or 'none'}")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the dashboard while the block runs; yield its address with the token."""
    command = [sys.executable, "-m", "aegis", "dashboard", "--workspace", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().removeprefix("Dashboard: ").strip()
    finally:
        process.terminate()
        process.wait()


def photograph(folder: Path, docs: Path, look: Path | None) -> None:
    """Write the pictures of docs/, or every view as a person may meet it."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with served(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def shoot(view: str, path: Path, width: int, height: int | None, scheme: Literal["light", "dark"]) -> None:
            context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height or 900})
            page = context.new_page()
            page.goto(address)
            page.goto(f"{address.partition('?')[0]}#/{view}")
            page.wait_for_selector("nav a[aria-current]")
            if "decision" in path.name:
                page.click(".decision .action >> nth=0")
            page.wait_for_timeout(1_500)
            page.screenshot(path=path, full_page=height is None)
            context.close()
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
            print(path)

        if look is None:
            for name, (view, width, height) in PICTURES.items():
                shoot(view, docs / f"dashboard-{name}.png", width, height, "light")
            shoot(f"now?point={POINT}", docs / "dashboard-telephone.png", 390, 844, "dark")
        else:
            look.mkdir(parents=True, exist_ok=True)
            for point in ("", POINT, TOOLS):
                for view in VIEWS:
                    path = look / f"{point[:6] or 'agent'}-{view}"
                    shoot(f"{view}?point={point}", path.with_name(f"{path.name}-light.png"), 1180, None, "light")
                    shoot(f"{view}?point={point}", path.with_name(f"{path.name}-telephone.png"), 390, None, "dark")
        browser.close()


def main() -> None:
    """Make the run where there is none, and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("dashboard-run"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--look", type=Path)
    given = parser.parse_args()
    if not (Workspace(given.folder).folder / "points" / TOOLS).exists():
        make_run(given.folder)
    describe(given.folder)
    photograph(given.folder, given.docs, given.look)


if __name__ == "__main__":
    main()
