"""Examples as the bytes of a JSON or JSONL file; `aegis.store.exchange` puts the file in its place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

from aegis.store.decisions import Example
from aegis.store.record import to_record

BinaryFile = IO[bytes] | gzip.GzipFile


def write_json(file: BinaryFile, metadata: Mapping[str, Any], examples: Iterable[Example]) -> int:
    """Write the examples as one JSON object; return their number."""
    file.write(b'{"metadata": ' + _encoded(dict(metadata)) + b', "examples": [')
    count = 0
    for example in examples:
        file.write((b",\n" if count else b"\n") + _encoded(to_record(example)))
        count += 1
    file.write(b"\n]}\n")
    return count


def write_jsonl(file: BinaryFile, metadata: Mapping[str, Any], examples: Iterable[Example]) -> int:
    """Write the metadata, then an example per line; return the number of examples."""
    file.write(_encoded({"metadata": dict(metadata)}) + b"\n")
    count = 0
    for example in examples:
        file.write(_encoded(to_record(example)) + b"\n")
        count += 1
    return count


def _encoded(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair: JSON can escape it, UTF-8 can't hold it.
        return json.dumps(value, allow_nan=False).encode("ascii")
