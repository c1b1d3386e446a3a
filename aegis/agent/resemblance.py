"""How alike two texts read: word triples, their overlap, and bands of a MinHash signature to find candidates by.

Broder 1997, "On the resemblance and containment of documents"; banding as in Leskovec et al., "Mining of Massive
Datasets", section 3.4. It stores nothing.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

BANDS = 16
BAND_ROWS = 4
"""Texts that have 85% of their triples in common share a band with probability 0.99999, those with 30%: 0.12."""
_SHINGLE_WORDS = 3
_WORD = re.compile(r"\w+")


def shingles_of(text: str) -> frozenset[str]:
    """Return the triples of words that stand beside each other in a text; all its words where there are fewer."""
    words = _WORD.findall(text.casefold())
    if len(words) < _SHINGLE_WORDS:
        return frozenset(words)
    return frozenset(" ".join(words[k : k + _SHINGLE_WORDS]) for k in range(len(words) - _SHINGLE_WORDS + 1))


def resemblance(one: frozenset[str], other: frozenset[str]) -> float:
    """Return what two texts have in common, as a share of all that is in them (Jaccard), from 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 1.0


def bands_of(shingles: frozenset[str]) -> list[int]:
    """Return `BANDS` signed 64-bit numbers, of which texts that are much alike share at least one; none for no text."""
    if not shingles:
        return []
    signature = _empty_signature().copy()
    signature.update_batch([shingle.encode("utf-8", "replace") for shingle in sorted(shingles)])
    values = signature.hashvalues.astype("<u8")
    bands = []
    for number in range(BANDS):
        rows = values[number * BAND_ROWS : (number + 1) * BAND_ROWS].tobytes()
        digest = hashlib.blake2b(rows, digest_size=8, person=f"band-{number}".encode()).digest()
        bands.append(int.from_bytes(digest, "little", signed=True))
    return bands


@functools.cache
def _empty_signature() -> Any:
    from datasketch import MinHash  # takes half a second to import

    return MinHash(num_perm=BANDS * BAND_ROWS, seed=1)
