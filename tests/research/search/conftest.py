"""A site-packages folder made on the spot, so that no test has to read what happens to be installed."""

from __future__ import annotations

from pathlib import Path

import pytest

README = """\
# tinypkg

[![build](https://example.org/badge.svg)](https://example.org/ci)

Tinypkg keeps small gardens of numbered stones, and waters each of them at the time that its gardener has chosen.

## Watering

Call `tinypkg.water()` once a day. The stones grow by a millimetre for each litre, which the `Gauge` writes down:

```python
import tinypkg
tinypkg.water(litres=3)
```

## License

Permission is hereby granted, free of charge, to any person obtaining a copy of this software to water stones.
"""

INIT = '''\
"""Keep a garden of numbered stones, and know at any time how thirsty each one of them is."""
from tinypkg._growth import Gauge, water
from .sub import *
'''

GROWTH = '''\
class Gauge:
    """Measure how far a stone has grown since it was last watered, in millimetres per litre."""

    def __init__(self, stone: int, scale: float = 1.0) -> None:
        self.stone = stone

    def read(self, *, twice: bool = False) -> float:
        """Return the growth that the gauge shows, or the mean of two readings of a nervous stone.

        Args:
            twice: whether to look again
        """
        return 0.0

    def _hidden(self) -> None:
        """Say nothing in public, for this is how the gauge is built and nobody's concern at all."""


def water(litres: int = 1) -> None:
    """Pour the given number of litres over every stone of the garden, slowly, one stone after another."""


def unexported() -> None:
    """Stay unknown to the user, because the package never brings this function into the open."""
'''

SUB = '''\
__all__ = ["prune"]

def prune(depth=2):
    """Cut the moss on every stone back to the given depth, so that the gauges can be read again."""

def inner():
    """Count the moss spores on a stone, which only the developers of this package would care about."""
'''


@pytest.fixture
def site_folder(tmp_path: Path) -> Path:
    """Return a folder with one distribution, some of whose files can't be read."""
    folder = tmp_path / "site"
    files: dict[str, bytes] = {
        "tinypkg/__init__.py": INIT.encode(),
        "tinypkg/_growth.py": GROWTH.encode(),
        "tinypkg/sub.py": SUB.encode(),
        "tinypkg/broken.py": b'def broken(:\n    """Stand in a file which no parser will ever accept as code."""\n',
        "tinypkg/binary.py": b"\x00\xff\xfe not text at all",
        "tinypkg/latin.py": b"# -*- coding: latin-1 -*-\n"
        + '"""Speak of the café where the gardeners meet once a week to compare their stones."""\n'.encode("latin-1"),
        "tinypkg/tests/test_it.py": b'"""Check that no test of a package is ever taken for its documentation."""\n',
        "tinypkg/explodes.py": (
            b'"""Show that documentation is read without ever running its code."""\nraise SystemExit\n'
        ),
    }
    add_distribution(folder, "tinypkg", "1.2", "A garden of numbered stones for patient people", README, files)
    return folder


def add_distribution(folder: Path, name: str, version: str, summary: str, readme: str, files: dict[str, bytes]) -> None:
    """Write a distribution as an installer would: its files, METADATA and RECORD."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {summary}\n"
    (info / "METADATA").write_text(f"{metadata}Description-Content-Type: text/markdown\n\n{readme}", encoding="utf-8")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in files), encoding="utf-8")
