"""How alike two texts read: word triples, their overlap, and bands of a MinHash signature that find candidates.

Broder 1997, "On the resemblance and containment of documents"; banding as in Leskovec et al., "Mining of Massive
Datasets", section 3.4.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BANDS = 16
BAND_ROWS = 4
"""Texts with 85% of their triples in common share a band with probability 0.99999, texts with 30% with 0.12."""
_SHINGLE_WORDS = 3
_WORD = re.compile(r"\w+")


def shingles_of(text: str) -> frozenset[str]:
    """Return the triples of adjacent words in a text; all its words if there are fewer than three."""
    words = _WORD.findall(text.casefold())
    if len(words) < _SHINGLE_WORDS:
        return frozenset(words)
    return frozenset(" ".join(words[k : k + _SHINGLE_WORDS]) for k in range(len(words) - _SHINGLE_WORDS + 1))


def resemblance(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the overlap of two texts as a share of their union (Jaccard), from 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 1.0


def bands_of(shingles: frozenset[str]) -> list[int]:
    """Return `BANDS` signed 64-bit numbers; texts that are much alike share at least one. Empty for an empty text."""
    if not shingles:
        return []
    values = signature(shingles).astype("<u8")
    bands = []
    for number in range(BANDS):
        rows = values[number * BAND_ROWS : (number + 1) * BAND_ROWS].tobytes()
        digest = hashlib.blake2b(rows, digest_size=8, person=f"band-{number}".encode()).digest()
        bands.append(int.from_bytes(digest, "little", signed=True))
    return bands


def signature(shingles: frozenset[str]) -> NDArray[np.uint32]:
    """Return the MinHash signature, (BANDS * BAND_ROWS,): that of datasketch 2.0's "affine32", which needs SciPy.

    Workspaces store bands computed from it, so it must never change.
    """
    import numpy as np  # takes a tenth of a second, and `aegis status` needs none of it

    digests = b"".join(hashlib.sha1(shingle.encode("utf-8", "replace")).digest()[:4] for shingle in shingles)
    hashed = np.frombuffer(digests, dtype="<u4").astype(np.uint32)
    # MurmurHash3's finaliser; products must wrap around at 32 bits.
    hashed = (hashed ^ (hashed >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashed = (hashed ^ (hashed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    hashed ^= hashed >> np.uint32(16)
    factors, offsets = _permutations()
    return np.asarray((hashed[:, None] * factors + offsets).min(axis=0))


@functools.cache
def _permutations() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    import numpy as np

    draw, count = np.random.RandomState(1), BANDS * BAND_ROWS  # the same stream in every version of NumPy
    factors = draw.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, draw.randint(0, 1 << 32, count, dtype=np.uint32)
