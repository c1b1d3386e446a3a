"""What the sweep cuts off: a workspace at work, run below the shim. It notes in the record what it was told is durable.

Notes: `decision ID`, `outcome ID`, `report N`, `promoted NAME`, `checkpoint EPOCH`.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from aegis.atomic import put_in_place, replacing
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision, Outcome
from aegis.workspace import Workspace

BATCH = 20
NAMES = ("look", "ask", "wait")
DECISION, OUTCOME, REPORT, PROMOTED, CHECKPOINT = "decision", "outcome", "report", "promoted", "checkpoint"


def make_decision(id: str, episode: str, step: int = 0) -> Decision:
    """Return a decision with a state of some length."""
    state = {"goal": f"find out {id}", "seen": [f"{id}-{k}" for k in range(10)]}
    return Decision(episode, step, state, NAMES, Action(NAMES[step % 3]), (0.5, 0.25, 0.25), "teacher", id)


def save_version(name: str, folder: Path) -> None:
    """Write a version's folder without torch, in the manner of `aegis.hrm`."""
    partial = folder.parent / f".partial-{name}"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(name.encode() * 3000)
    (partial / "config.json").write_text(json.dumps({"name": name}))
    put_in_place(partial, folder)


def work(workspace: Workspace, decisions: int, note: Callable[[str], None]) -> None:
    """Make a workspace and work in it: decisions one by one and in batches, outcomes, reports, versions."""
    for life in range(2):
        with Database(workspace.database) as database:
            store, registry = DecisionStore(database), ModelRegistry(DecisionStore(database), workspace)
            for one in _decide(store, life, decisions):
                note(f"{DECISION} {one}")
            for number in range(0, decisions, 3):
                id = f"{life}-{number}"
                store.record_outcome(Outcome(id, "ok", 1, 0.5, "done", {"found": id}))
                note(f"{OUTCOME} {id}")
            batch = [make_decision(f"{life}-batch-{k}", f"{life}-batch", k) for k in range(BATCH)]
            store.append_many(batch)
            for decision in batch:
                note(f"{DECISION} {decision.id}")
            for number in range(2):
                with replacing(workspace.folder / "report.json") as partial:
                    partial.write_text(json.dumps({"number": 2 * life + number, "text": "x" * 5000}))
                note(f"{REPORT} {2 * life + number}")
            note(f"{PROMOTED} {registry.promote(save_version).name}")


def train(workspace: Workspace, note: Callable[[str], None]) -> None:
    """Write a training's checkpoints as a training does, twice: the second time in place of the first."""
    import torch

    from aegis.config import HRMConfig
    from aegis.training.checkpoint import write_checkpoint

    config = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2)
    for turn in range(2):
        for epoch in (1, 2):
            weights = {"weight": torch.full((40, 40), float(turn))}
            document = {"identity": "sweep", "epochs": [], "turn": turn}
            write_checkpoint(workspace.checkpoints, epoch, config, weights, weights, document)
            note(f"{CHECKPOINT} {epoch} {turn}")


def _decide(store: DecisionStore, life: int, decisions: int) -> Iterator[str]:
    for number in range(decisions):
        id = f"{life}-{number}"
        store.append(make_decision(id, f"{life}-{number // 20}", number % 20))
        yield id


def main() -> None:
    """Work below the shim. Arguments: the shim, the folder, the decisions of each life, `train` or nothing."""
    shim, folder, decisions, *rest = sys.argv[1:]
    library = ctypes.CDLL(shim)
    workspace = Workspace(Path(folder) / "workspace")

    def note(text: str) -> None:
        library.crash_note(text.encode())

    work(workspace, int(decisions), note)
    if rest:
        train(workspace, note)


if __name__ == "__main__":
    main()
