"""Docstrings are read from syntax trees."""

from __future__ import annotations

import warnings

import pytest

from aegis.research.search.documents.docstring import describing_part, parse_module, split_signature

SOURCE = b'''
"""A module of \\d escapes."""
import os
from ._inside import thing as public_thing, _private
try:
    from .fast import *
except ImportError:
    pass
__all__ = ["Stone", "roll"]

class Stone:
    """A stone."""
    def __init__(self, weight: int, *, colour: str = "grey") -> None: ...
    @property
    def size(self):
        """Its size."""
    @staticmethod
    def of(weight):
        """Make one."""
    def _inner(self):
        """Not public."""

async def roll(stone: "Stone", /, far=True, **options):
    """Roll it."""
'''


def test_public_names_carry_their_signature_without_annotations() -> None:
    parsed = parse_module(SOURCE, "rocks", is_package=True)
    assert parsed is not None
    assert [(e.name, e.signature) for e in parsed.entries] == [
        ("", ""),
        ("Stone", "Stone(weight, *, colour='grey')"),
        ("Stone.size", ""),
        ("Stone.of", "of(weight)"),
        ("roll", "roll(stone, /, far=True, **options)"),
    ]
    assert parsed.exposes("roll")
    assert not parsed.exposes("other")


def test_imports_from_other_modules_are_named_in_full() -> None:
    parsed = parse_module(SOURCE, "rocks", is_package=True)
    assert parsed is not None
    found = [(e.module, e.name, e.public_name) for e in parsed.exports]
    assert found == [("rocks._inside", "thing", "public_thing"), ("rocks.fast", "*", "*")]


@pytest.mark.parametrize("source", [b"def x(:", b"\x00", b"\xff\xfe\x00", b"(" * 5_000])
def test_a_source_that_is_no_python_gives_nothing(source: bytes) -> None:
    assert parse_module(source, "bad", is_package=False) is None


def test_an_invalid_escape_in_a_third_partys_source_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_module(b'"""Match \\d+."""', "m", is_package=False) is not None


@pytest.mark.parametrize(
    "fields",
    ["Args:\n    x: a", "Parameters\n----------\nx : int", ":param x: a", "**Examples**\n\n>>> 1", "Returns:\n  y"],
)
def test_a_docstring_describes_up_to_its_list_of_fields(fields: str) -> None:
    assert (
        describing_part(f"Do it.\n\nReturns nothing of note.\n\n{fields}").strip()
        == "Do it.\n\nReturns nothing of note."
    )


@pytest.mark.parametrize(
    ("doc", "signature", "rest"),
    [
        ("dict.get(key) -> value\n\nLook it up.", "get(key)", "Look it up."),
        ("zip(*its) --> Yield tuples until one ends.\nMore.", "zip(*its)", "Yield tuples until one ends.\nMore."),
        ("Look (it) up.", "", "Look (it) up."),
    ],
)
def test_the_signature_in_a_compiled_functions_docstring_is_told_apart(doc: str, signature: str, rest: str) -> None:
    assert split_signature(doc) == (signature, rest)
