"""The part of a training step that is arithmetic at this processor's peak: `python -m benchmarks.arithmetic`.

Torch's FLOP counter counts the multiplications and additions of a step (matrix products only). The peak is that of a
large product in the same precision, timed after each step, because a processor's clock changes every second. All times
are CPU times of this process on a single thread, so that other processes disturb them less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from aegis.config import TrainingConfig
from aegis.hrm import StateCodec, action_outputs, has_bf16
from aegis.research import RESEARCH_ACTIONS
from aegis.research.run import read_shipped_data
from aegis.training import Dataset, ImitationTrainer, encode_decisions
from aegis.training.data.dataset import shuffled_batches
from aegis.training.learner import Learner
from aegis.training.optimizer import HRMOptimizer

_PEAK_SIZE = 1024
_WARM_STEPS = 20


def make_product(dtype: torch.dtype) -> Callable[[], float]:
    """Return a function that computes a large product and returns its operations per CPU second, in 10^9."""
    one, other = (torch.randn(_PEAK_SIZE, _PEAK_SIZE).to(dtype) for _ in range(2))

    def compute() -> float:
        started = time.process_time()
        one @ other
        return 2 * _PEAK_SIZE**3 / (time.process_time() - started) / 1e9

    return compute


def measure_steps(data: Dataset, config: TrainingConfig, steps: int) -> dict[str, Any]:
    """Return the milliseconds and operations of a step with one segment, and the arithmetic's share at the peak."""
    bf16 = config.bf16 and has_bf16(torch.device("cpu"))
    model = ImitationTrainer(RESEARCH_ACTIONS, config).initialise().train()
    outputs = action_outputs(RESEARCH_ACTIONS, model.config.vocab_size)
    learner = Learner(model, HRMOptimizer(model, config, bf16), outputs, config, bf16)
    batches = list(shuffled_batches(data.lengths, config.batch_size, torch.Generator().manual_seed(0)))

    def step(number: int) -> None:
        rows = batches[number % len(batches)]
        learner.step(data.batch(rows, learner.padding_multiple), 1, False, config.learning_rate)

    product = make_product(torch.bfloat16 if bf16 else torch.float32)
    for number in range(_WARM_STEPS):
        step(number)
        product()
    seconds, peaks = [], []
    for number in range(steps):
        started = time.process_time()
        step(number)
        seconds.append(time.process_time() - started)
        peaks.append(product())
    with FlopCounterMode(display=False) as counter:
        for number in range(steps):
            step(number)
    operations = counter.get_total_flops() / steps
    milliseconds, peak = 1e3 * statistics.median(seconds), statistics.median(peaks)
    return {
        "dtype": "bfloat16" if bf16 else "float32",
        "step_cpu_ms_p50": milliseconds,
        "step_gflop": operations / 1e9,
        "peak_gflops": peak,
        "arithmetic_share": operations / 1e6 / peak / milliseconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="steps to measure (default 60)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--float32", action="store_true", help="in float32, even if the processor has bfloat16")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error("give at least 1 of --steps")
    torch.set_num_threads(1)
    given = read_shipped_data()
    data = encode_decisions(given.decisions, given.actions, StateCodec())
    figures = measure_steps(data, TrainingConfig(bf16=not options.float32), options.steps)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for name, value in figures.items():
        print(f"{name:<20} {value:.3g}" if isinstance(value, float) else f"{name:<20} {value}")


if __name__ == "__main__":
    main()
