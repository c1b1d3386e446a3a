"""Files as other programs write them, and what is read from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from aegis.formats import Fields, LoggedDecision, Reading, read_decisions


@pytest.fixture
def written(tmp_path) -> Callable[..., Path]:
    """Return what writes a file: values as lines of JSON, text as it is."""

    def write(*lines: Any, name: str = "log.jsonl") -> Path:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path = tmp_path / name
        path.write_text("\n".join(texts) + "\n", "utf-8")
        return path

    return write


@pytest.fixture
def read(written) -> Callable[..., tuple[Reading, list[LoggedDecision]]]:
    """Return what writes lines to a file and reads them."""

    def both(*lines: Any, name: str = "log.jsonl", form: str = "auto", **fields: Any) -> Any:
        reading = read_decisions(written(*lines, name=name), form, Fields(**fields))
        decisions: Iterable[LoggedDecision] = reading.decisions
        return reading, list(decisions)

    return both
