"""Answers gathered by episode, so that an episode counts as one observation, however alike its answers are.

Episodes may run side by side. So the block of an episode is open until `OTHERS` answers of other episodes have come
since its last one, or until it has `LARGEST` answers. A block weighs as much as its answers: a promise is about
decisions, and short episodes may differ from long ones.

An open block is kept under a digest of its episode's name. So a name, which may be a person's, stands in no record of a
monitor, and nothing is to be erased there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

from aegis.promotion.judging.by_episode import EpisodeSums

OTHERS = 20
"""Answers of other episodes after which a block is closed"""
LARGEST = 20
"""Answers in a block; an episode without an end becomes several blocks"""
_DIGEST_BYTES = 12


class Closed(NamedTuple):
    """A closed block."""

    share: float
    """Of right answers"""
    weight: float
    """Its answers by the most that a block may have, in [0, 1]"""


@dataclass(slots=True)
class _Open:
    """An open block. An answer counts less where the block's own answers made it likelier to be asked for."""

    right: float = 0.0
    count: float = 0.0
    answers: int = 0
    last: int = 0
    """The number of all answers at its last one"""
    rate: float = 0.0
    """The probability with which its first answer was asked for; 0: not known"""


class Blocks:
    """The open blocks, and the sums of all blocks.

    largest: the most answers of a block, in which its weight is measured; 1 where every answer stands alone.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self.largest = largest
        self.answers = 0
        self.closed = EpisodeSums()
        """The sums of the closed blocks"""
        self._open: dict[str, _Open] = {}
        """By the digest of the episode's name"""

    def add(self, right: bool, episode: str, rate: float = 1.0) -> list[Closed]:
        """Add an answer; return the blocks that this closes, the oldest first.

        episode: '' for an answer that stands alone, which is a block at once. rate: the probability with which the
        answer was asked for. Where the first answers of a block raise it, a block with wrong answers would get more
        of them. So an answer counts by the block's first rate / its own.
        """
        self.answers += 1
        digest = _digest(episode)
        block = self._open.pop(digest, None) or _Open(rate=rate)
        counts = min(1.0, block.rate / rate) if rate > 0 else 1.0
        block.right, block.count = block.right + counts * right, block.count + counts
        block.answers, block.last = block.answers + 1, self.answers
        self._open[digest] = block  # the newest comes last
        return [
            self._close(digest)
            for digest, one in list(self._open.items())
            if self.answers - one.last >= OTHERS or one.answers >= self.largest or not digest
        ]

    def rate_of(self, episode: str) -> float:
        """Return the rate with which the episode's open block began; 0 without one."""
        block = self._open.get(_digest(episode))
        return block.rate if block else 0.0

    def sums(self) -> EpisodeSums:
        """Return the sums of all blocks, with the open ones as they are now."""
        closed = self.closed
        found = EpisodeSums(closed.episodes, closed.decisions, closed.hits, list(closed.squares))
        for block in self._open.values():
            found.add(block.right, block.count)
        return found

    def to_record(self) -> dict[str, Any]:
        """Return the state as JSON, from which `from_record` resumes."""
        closed = self.closed
        return {
            "answers": self.answers,
            "open_by_digest": {digest: astuple(block) for digest, block in self._open.items()},
            "closed": [closed.episodes, closed.decisions, closed.hits, *closed.squares],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], largest: int = LARGEST) -> Blocks:
        """Resume from a recorded state; raises `KeyError`, `TypeError` or `ValueError` for a malformed record."""
        blocks = cls(largest)
        blocks.answers = int(record["answers"])
        blocks._open = {
            str(digest): _read_open(block) for digest, block in without_names(record)["open_by_digest"].items()
        }
        episodes, decisions, hits, *squares = map(float, record["closed"])
        if len(squares) != 3:
            raise ValueError(f"three squares are needed, not {len(squares)}")
        blocks.closed = EpisodeSums(int(episodes), decisions, hits, squares)
        return blocks

    @classmethod
    def of_single(cls, right: int, answers: int, largest: int = LARGEST) -> Blocks:
        """Return the state after answers of unknown episodes, each a block of its own."""
        blocks = cls(largest)
        blocks.answers = answers
        blocks.closed = EpisodeSums(answers, answers, right, [float(right), float(right), float(answers)])
        return blocks

    def _close(self, digest: str) -> Closed:
        block = self._open.pop(digest)
        self.closed.add(block.right, block.count)
        return Closed(block.right / block.count, block.count / self.largest)


def without_names(record: Any) -> Any:
    """Return a record, or any JSON with such records in it, with digests where an earlier version kept names."""
    if not isinstance(record, Mapping):
        return record
    fields = {name: without_names(value) for name, value in record.items()}
    if record.keys() >= {"answers", "open", "closed"} and isinstance(record["open"], Mapping):
        fields["open_by_digest"] = {_digest(str(name)): block for name, block in fields.pop("open").items()}
    return fields


def _digest(episode: str) -> str:
    """Return what stands for an episode's name; '' for '', an answer that stands alone."""
    return episode and hashlib.blake2b(episode.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()


def _read_open(kept: list[Any]) -> _Open:
    if len(kept) == 3:  # an earlier version kept the right answers, the answers and the last one's number
        right, answers, last = kept
        return _Open(float(right), float(answers), int(answers), int(last))
    right, count, answers, last, rate = kept
    return _Open(float(right), float(count), int(answers), int(last), float(rate))
