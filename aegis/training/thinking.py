"""Measures how long a trained HRM thinks about decisions, and what stopping early costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from aegis.hrm import HRMPolicy
from aegis.types import Decision


@dataclass(frozen=True, slots=True)
class Thinking:
    """Segments of thinking that decisions took, and the accuracy with and without early stopping."""

    max_segments: int
    mean_segments: float
    counts: dict[int, int]
    """Number of decisions by the number of segments they took, from 1 to the maximum"""
    accuracy: float
    """Accuracy if the halting unit may stop thinking"""
    accuracy_to_the_end: float
    """Accuracy with all segments for every decision"""


def measure_thinking(policy: HRMPolicy, decisions: Sequence[Decision]) -> Thinking:
    """Measure a policy on decisions among its own actions; raises `ValueError` without any."""
    if not decisions:
        raise ValueError("no decisions to measure the thinking on")
    states = [decision.state for decision in decisions]
    labels = torch.tensor([policy.actions.index(decision.action.name) for decision in decisions])
    offers = [decision.actions for decision in decisions]
    early, segments = policy.think(states, offers=offers)
    late, _ = policy.think(states, to_the_end=True, offers=offers)
    longest = policy.model.config.max_segments
    return Thinking(
        max_segments=longest,
        mean_segments=float(segments.float().mean()),
        counts={number: int((segments == number).sum()) for number in range(1, longest + 1)},
        accuracy=float((early.argmax(-1) == labels).float().mean()),
        accuracy_to_the_end=float((late.argmax(-1) == labels).float().mean()),
    )
