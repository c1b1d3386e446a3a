"""A file of the archive: a row for each entry of the chain, in its order, with what the entry's own row held.

`about` is the id of the decision that the entry is of. An event and an erasure stay in the database; an erased row left
its digest only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aegis.errors import DamagedArchiveError
from aegis.packages import imports_explained

with imports_explained("reading and writing archived decisions"):
    import pyarrow as pa
    import pyarrow.parquet as pq

from aegis.store.chain.columns import DECISION, OUTCOME

GROUP_ROWS = 5000
"""Rows that are read at once: what one decision's look-up costs"""
LABEL = ("decision_id", "teacher", "probabilities", "reason", "labelled_at")
COLUMNS = {"decision": DECISION, "outcome": OUTCOME, "label": LABEL}
"""The columns of a row by the kind of its entry, all but `seq`"""
_ABOUT = {"decision": "id", "outcome": "decision_id", "label": "decision_id"}
_NUMBERS = {"step": pa.int64(), "gained": pa.int64(), "propensity": pa.float64(), "reward": pa.float64()}
_HELD = tuple(dict.fromkeys(name for names in COLUMNS.values() for name in names if name not in _ABOUT.values()))
_ENTRY = ("place", "kind", "row", "about", "digest")
SCHEMA = pa.schema(
    [
        *(("place", pa.int64()), ("kind", pa.string()), ("row", pa.int64())),
        *(("about", pa.string()), ("digest", pa.binary(32))),
        *((name, _NUMBERS.get(name, pa.string())) for name in _HELD),
    ]
)
_DAMAGED = "put a copy of it back in its place"


def write_rows(path: Path, groups: Iterable[Sequence[Mapping[str, Any]]]) -> None:
    """Write a file of entries, a group of rows at a time; each entry has its columns under their names."""
    options = {"compression": "zstd", "write_page_checksum": True, "store_decimal_as_integer": False}
    with pq.ParquetWriter(path, SCHEMA, **options) as writer:
        for rows in groups:
            values = {name: [row.get(name) for row in rows] for name in SCHEMA.names}
            writer.write_table(pa.table(values, schema=SCHEMA), row_group_size=GROUP_ROWS)


def to_entry(
    place: int, kind: str, row: int, about: str, digest: bytes, columns: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return an entry as `write_rows` takes it. columns: of its row; none for one that stays or was erased."""
    held = {name: columns[name] for name in COLUMNS.get(kind, ()) if name in _HELD} if columns else {}
    return {"place": place, "kind": kind, "row": row, "about": about, "digest": digest} | held


def columns_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of an entry's row, all but `seq`, as they were stored; none for one that the file lacks."""
    kind = entry["kind"]
    if kind not in COLUMNS or not entry["about"]:
        return {}
    return {name: entry["about"] if name == _ABOUT[kind] else entry[name] for name in COLUMNS[kind]}


class File:
    """An open file. Raises `DamagedArchiveError` where it is missing or can't be read."""

    def __init__(self, path: Path, checked: bool = True) -> None:
        """checked: compare the checksums that each page of the file has."""
        self.path = path
        if not path.is_file():
            raise DamagedArchiveError(
                f"{path}: is missing: {_DAMAGED} (machines that share a record share this folder, too)"
            )
        with self._explained():
            self._file = pq.ParquetFile(path, page_checksum_verification=checked)
            if self._file.schema_arrow.names != SCHEMA.names:
                raise DamagedArchiveError(f"{path}: is no file of this record: {_DAMAGED}")
            self.groups = int(self._file.num_row_groups)
            self.sizes = [self._file.metadata.row_group(one).num_rows for one in range(self.groups)]

    def read(self, group: int, columns: Sequence[str] | None = None) -> dict[str, list[Any]]:
        """Return a group's columns, each as a list. columns: only these."""
        with self._explained():
            # By this thread alone: PyArrow's own would not be there after a fork.
            table = self._file.read_row_group(group, columns=columns, use_threads=False)
            return {name: table.column(name).to_pylist() for name in table.column_names}

    def entries(self, first: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the rows from one on, in order."""
        for group, size in enumerate(self.sizes):
            if first >= size:
                first -= size
                continue
            values = self.read(group)
            names, columns = list(values), list(values.values())
            for row in list(zip(*columns, strict=True))[first:]:
                yield dict(zip(names, row, strict=True))
            first = 0

    def links(self) -> Iterator[tuple[int, str, int, str, bytes]]:
        """Yield place, kind, row, about and digest of each entry, in order."""
        for group in range(self.groups):
            yield from zip(*self.read(group, _ENTRY).values(), strict=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
            said = " ".join(str(error).split())[:200]
            raise DamagedArchiveError(f"{self.path}: is damaged ({said}): {_DAMAGED}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
