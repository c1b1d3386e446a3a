"""Source without the bodies of functions has the same public documentation as the whole source."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from aegis.research.search.documents.docstring import parse_module
from aegis.research.search.documents.skeleton import skeleton

LIBRARY = Path(sysconfig.get_path("stdlib"))

TRICKY = '''\
"""An example in a docstring stays as it is:

def shown(x):
    return x
"""
TEXT = """
def quoted():
    gone = 1
"""

class Gauge:
    def __init__(self, text=":)", *, more: "dict[str, int]" = {"a": 1}) -> None:  # a colon: here
        self.text = text

    def read(self):
        """Read what
def this() is about.
        """
        text = """
def inner():
    """
        return text, 'it is "fine"'

    async def wait(self): return 3

    def odd(self):
        "one" "two"
        return 1


def after(a, b=lambda: 3):
    # a remark

    "Come after all that."
    return a
'''


def test_a_skeleton_says_what_the_source_says() -> None:
    whole, bare = TRICKY.encode(), skeleton(TRICKY.encode())
    assert parse_module(whole, "gauge", False) == parse_module(bare, "gauge", False)
    assert b"self.text = text" not in bare
    assert b"def inner" not in bare
    assert b"return 3" in bare  # on the header's own line
    parsed = parse_module(whole, "gauge", False)
    assert parsed is not None
    assert [(entry.name, entry.signature) for entry in parsed.entries] == [
        ("", ""),
        ("Gauge.read", "read()"),
        ("Gauge.odd", "odd()"),
        ("after", "after(a, b=lambda: 3)"),
    ]


@pytest.mark.parametrize("name", ["argparse", "dataclasses", "inspect", "doctest", "asyncio/base_events", "typing"])
def test_real_modules_keep_all_that_is_public(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (LIBRARY / f"{name}.py").read_bytes()
    assert len(skeleton(source)) < 0.9 * len(source)
    found = parse_module(source, name, False)
    monkeypatch.setattr("aegis.research.search.documents.docstring.skeleton", lambda source: source)
    assert found == parse_module(source, name, False)


def test_a_source_with_other_ends_of_lines_is_left_as_it_is() -> None:
    source = b"def f():\r\n    return 1\r\n"
    assert skeleton(source) == source
