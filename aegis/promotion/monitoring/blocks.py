"""Answers gathered by episode, so that an episode counts as one observation, however alike its answers are.

Episodes may run side by side. So the block of an episode is open until `OTHERS` answers of other episodes have come
since its last one, or until it has `LARGEST` answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aegis.promotion.judging.by_episode import EpisodeSums

OTHERS = 20
"""Answers of other episodes after which a block is closed"""
LARGEST = 20
"""Answers in a block; an episode without an end becomes several blocks"""


class Blocks:
    """The open blocks, and the sums of all blocks."""

    def __init__(self) -> None:
        self.answers = 0
        self._open: dict[str, list[int]] = {}
        """By episode: right answers, answers, and the number of all answers at its last one"""
        self._closed = EpisodeSums()
        self.means = 0.0
        """Sum of the closed blocks' shares of right answers"""

    @property
    def closed(self) -> int:
        """The number of closed blocks."""
        return self._closed.episodes

    def add(self, right: bool, episode: str) -> list[float]:
        """Add an answer; return the shares of right answers of the blocks that this closes, the oldest first.

        episode: '' for an answer that stands alone, which is a block at once.
        """
        self.answers += 1
        before = self._open.pop(episode, [0, 0, 0])
        self._open[episode] = [before[0] + right, before[1] + 1, self.answers]  # the newest comes last
        return [
            self._close(name)
            for name, (_, count, last) in list(self._open.items())
            if self.answers - last >= OTHERS or count >= LARGEST or not name
        ]

    def sums(self) -> EpisodeSums:
        """Return the sums of all blocks, with the open ones as they are now."""
        closed = self._closed
        found = EpisodeSums(closed.episodes, closed.decisions, closed.hits, list(closed.squares))
        for right, count, _ in self._open.values():
            found.add(right, count)
        return found

    def to_record(self) -> dict[str, Any]:
        """Return the state as JSON, from which `from_record` resumes."""
        closed = self._closed
        return {
            "answers": self.answers,
            "open": self._open,
            "closed": [closed.episodes, closed.decisions, closed.hits, *closed.squares],
            "means": self.means,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Blocks:
        """Resume from a recorded state; raises `KeyError`, `TypeError` or `ValueError` for a malformed record."""
        blocks = cls()
        blocks.answers, blocks.means = int(record["answers"]), float(record["means"])
        blocks._open = {str(name): [int(right), int(n), int(last)] for name, (right, n, last) in record["open"].items()}
        episodes, decisions, hits, *squares = map(float, record["closed"])
        if len(squares) != 3:
            raise ValueError(f"three squares are needed, not {len(squares)}")
        blocks._closed = EpisodeSums(int(episodes), decisions, hits, squares)
        return blocks

    @classmethod
    def of_single(cls, right: int, answers: int) -> Blocks:
        """Return the state after answers of unknown episodes, each a block of its own."""
        blocks = cls()
        blocks.answers, blocks.means = answers, float(right)
        blocks._closed = EpisodeSums(answers, answers, right, [float(right), float(right), float(answers)])
        return blocks

    def _close(self, episode: str) -> float:
        right, count, _ = self._open.pop(episode)
        self._closed.add(right, count)
        self.means += right / count
        return right / count
