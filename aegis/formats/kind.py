"""The kinds of decisions in a file, told apart: each is a decision point of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

from aegis.formats.record import LoggedDecision

By = Literal["auto", "menu", "system", "all"]
EVERYTHING = "all decisions"
_NAMED_TOOLS = 4
_SYSTEM_CHARACTERS = 80


def kinds(by: By) -> Callable[[LoggedDecision], str]:
    """Return a function that names a decision's kind.

    by: `menu`, the actions on offer; `system`, the system prompt; `all`, one kind; `auto`, the name that the file
    gives, else the actions on offer.
    """
    return {"auto": _auto, "menu": _menu, "system": _system, "all": lambda decision: EVERYTHING}[by]


def hash_text(text: str) -> int:
    """Return a number of 64 bits that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _menu(decision: LoggedDecision) -> str:
    shown = ", ".join(decision.offered[:_NAMED_TOOLS])
    more = len(decision.offered) - _NAMED_TOOLS
    # Two long menus may begin alike: a digest tells them apart.
    tail = f" and {more} more ({hash_text(' '.join(decision.offered)):016x}"[:24] + ")" if more > 0 else ""
    return f"{shown}{tail}" if shown else EVERYTHING


def _auto(decision: LoggedDecision) -> str:
    # Examples and AEGIS's own records have no menu of their own: what is on offer there is a mask.
    return decision.name or (_menu(decision) if decision.chat else EVERYTHING)


def _system(decision: LoggedDecision) -> str:
    return " ".join(decision.system.split())[:_SYSTEM_CHARACTERS] or EVERYTHING
