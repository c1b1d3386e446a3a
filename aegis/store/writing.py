"""Records as the bytes of a JSON or JSONL file; `aegis.store.exchange` puts the file in its place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

BinaryFile = IO[bytes] | gzip.GzipFile


def write_json(file: BinaryFile, metadata: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> int:
    """Write the records as one JSON object; return their number."""
    file.write(b'{"metadata": ' + _encoded(dict(metadata)) + b', "examples": [')
    count = 0
    for record in records:
        file.write((b",\n" if count else b"\n") + _encoded(record))
        count += 1
    file.write(b"\n]}\n")
    return count


def write_jsonl(file: BinaryFile, metadata: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> int:
    """Write the metadata, then a record per line; return the number of records."""
    file.write(_encoded({"metadata": dict(metadata)}) + b"\n")
    count = 0
    for record in records:
        file.write(_encoded(record) + b"\n")
        count += 1
    return count


def _encoded(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair: JSON can escape it, UTF-8 can't hold it.
        return json.dumps(value, allow_nan=False).encode("ascii")
