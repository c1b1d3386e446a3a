"""Does an HRM trained by two processes equal one trained by one? `python -m benchmarks.together --processes 2`.

The full HRM learns the shipped decisions three times by the same seed: by one process, by N that torchrun starts
(gloo), and by one to half of the epochs and by N from its checkpoint on. Printed: the largest difference of a weight,
the held-out decisions that differ, and the time. Each process computes on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).parents[1]


def train(folder: Path, epochs: int, until: int, bf16: bool, resume: bool) -> None:
    """Carry out one process's part of a training; the first writes what came of it. until: the last epoch."""
    import torch

    from aegis.config import TrainingConfig
    from aegis.research import RESEARCH_ACTIONS
    from aegis.research.run import read_shipped_data
    from aegis.training import ImitationTrainer, TrainingHooks, split_by_episode
    from aegis.training.together.group import Group, connected, launched

    class _Reached(BaseException):
        pass

    def on_batch(epoch: int, batch: int, batches: int) -> None:
        if epoch > until:
            raise _Reached

    torch.set_num_threads(1)
    config = TrainingConfig(epochs=epochs, checkpoint_every_epochs=1, bf16=bf16)
    data = read_shipped_data()
    split = split_by_episode(data.decisions, config.heldout_share, config.seed)
    group = launched() or Group()
    with connected(group, "cpu"):
        trainer = ImitationTrainer(RESEARCH_ACTIONS, config, hooks=TrainingHooks(on_batch=on_batch), group=group)
        started = time.perf_counter()
        try:
            run = trainer.train(split.train, split.heldout, folder, resume)
        except _Reached:
            return
    if group.is_first:
        run.policy.save(folder / "policy")
        chosen = run.policy.decide([decision.state for decision in split.heldout], RESEARCH_ACTIONS)
        document = {
            "seconds": time.perf_counter() - started,
            "choices": [choice.action for choice in chosen],
            "epochs": [asdict(epoch) for epoch in run.epochs],
        }
        (folder / "result.json").write_text(json.dumps(document))


def start(processes: int, folder: Path, options: list[str]) -> None:
    """Start a training by so many processes, and wait for its end."""
    here = ["-m", "benchmarks.together", "--folder", str(folder), *options]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), *here]
    subprocess.run(command, cwd=_REPOSITORY, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)


def compare(one: Path, other: Path) -> dict[str, Any]:
    """Return how two trainings' weights and held-out decisions differ."""
    from safetensors.numpy import load_file

    weights, others = (load_file(folder / "policy" / "model.safetensors") for folder in (one, other))
    differences = {name: float(abs(tensor - others[name]).max()) for name, tensor in weights.items()}
    worst = max(differences, key=differences.__getitem__)
    first, second = (json.loads((folder / "result.json").read_text()) for folder in (one, other))
    pairs = list(zip(first["choices"], second["choices"], strict=True))
    return {
        "largest_difference": differences[worst],
        "in": worst,
        "heldout": len(pairs),
        "decided_otherwise": sum(a != b for a, b in pairs),
        "accuracy": [result["epochs"][-1]["heldout_accuracy"] for result in (first, second)],
        "seconds": [round(result["seconds"], 1) for result in (first, second)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="in bfloat16, where the processor has it, as by default")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is not None:
        train(options.folder, options.epochs, options.until, options.bf16, options.resume)
        return
    shared = ["--epochs", str(options.epochs), *(["--bf16"] if options.bf16 else [])]
    whole = [*shared, "--until", str(options.epochs)]
    with tempfile.TemporaryDirectory() as scratch:
        one, several, handed = (Path(scratch) / name for name in ("one", "several", "handed"))
        start(1, one, whole)
        start(options.processes, several, whole)
        start(1, handed, [*shared, "--until", str(options.epochs // 2)])
        start(options.processes, handed, [*whole, "--resume"])
        found = {
            f"1 and {options.processes} processes": compare(one, several),
            f"1, and 1 then {options.processes}": compare(one, handed),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
