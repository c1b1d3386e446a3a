"""JSON text: how deep it may nest, and how large a file of settings may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aegis.errors import DataError

DOCUMENT_BYTES = 64_000_000
"""Of a JSON or TOML file that AEGIS reads whole: settings, and what stands beside weights"""
LEVELS = 200
"""Of nested lists and objects"""


def parse_json(text: str | bytes) -> Any:
    """Return the value of JSON text.

    Raises `ValueError` for text that is no JSON (`json.JSONDecodeError`, `UnicodeDecodeError`) or nests too deeply.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise DataError("nested too deeply to be read") from None
    if is_too_deep(value):
        raise DataError("nested too deeply to be read")
    return value


def is_too_deep(value: Any, levels: int = LEVELS) -> bool:
    """Tell whether a parsed JSON value nests more lists and objects than so many levels."""
    row = [value]
    for _ in range(levels + 1):
        parts = [one.values() if isinstance(one, dict) else one for one in row if isinstance(one, dict | list)]
        row = [child for part in parts for child in part if isinstance(child, dict | list)]
        if not row:
            return False
    return True


def read_text(path: Path, most: int = DOCUMENT_BYTES) -> str:
    """Return a UTF-8 file's text; raises `OSError`, and `ValueError` for more bytes or other bytes."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise DataError(f"larger than {most // 10**6} MB, so not a file of this kind")
    return data.decode("utf-8")


def read_json(path: Path) -> Any:
    """Return the value of a JSON file; raises as `read_text` and `parse_json` do."""
    return parse_json(read_text(path))
