"""A disk that loses what was not synced: replays the shim's record and gives the states that a power cut may leave.

The model is stricter than most file systems. What was written to a file is there after a cut only if the file was
synced afterwards; a name in a folder only if that folder was. Of the rest any part may be there: the writes of one file
reach the disk in any order, each in sectors of 512 bytes; the names of one folder change in the order of the calls.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR_BYTES = 512
CREATE, MKDIR, WRITE, TRUNCATE, SYNC, RENAME, EXCHANGE, UNLINK, RMDIR, NOTE = range(1, 11)
"""The kinds of an entry, as in shim.c"""
_HEAD = struct.Struct("<IIIIQQ")

Change = tuple[int, int, bytes]
"""What happened to a file: WRITE or TRUNCATE, the offset or the new length, the data"""


class Entry(NamedTuple):
    """A call in the record."""

    kind: int
    inode: int
    offset: int
    path: str
    data: bytes


def read_record(path: Path) -> Iterator[Entry]:
    """Yield the calls that the shim recorded, in order; raises `ValueError` where the record is cut off."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        kind, path_bytes, data_bytes, _, inode, offset = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        end = at + path_bytes + data_bytes
        if end > len(content):
            raise ValueError(f"{path}: cut off at byte {at}")
        yield Entry(kind, inode, offset, content[at : at + path_bytes].decode(), content[at + path_bytes : end])
        at = end


@dataclass(eq=False)
class File:
    """A file: what is on the disk for sure, and the changes since its last sync."""

    durable: bytes = b""
    pending: list[Change] = field(default_factory=list)

    def after(self, changes: list[Change]) -> bytes:
        """Return the content after these changes to what is durable."""
        content = bytearray(self.durable)
        for kind, offset, data in changes:
            if kind == TRUNCATE:
                del content[offset:]
                content.extend(bytes(offset - len(content)))
            else:
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(data)] = data
        return bytes(content)


Renaming = dict[str, "File | Folder | None"]
"""What one call does to the names of a folder, as a whole; None: the name is gone"""


@dataclass(eq=False)
class Folder:
    """A folder: its names now, those that are on the disk for sure, and the changes since its last sync."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    durable: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[Renaming] = field(default_factory=list)

    def change(self, renaming: Renaming) -> None:
        """Change names now; the disk has them after the next sync."""
        self.pending.append(renaming)
        _rename(self.names, renaming)

    def after(self, renamings: list[Renaming]) -> dict[str, File | Folder]:
        """Return the names after these changes to what is durable."""
        names = dict(self.durable)
        for renaming in renamings:
            _rename(names, renaming)
        return names


class Disk:
    """The state of a folder's disk while the record is replayed, one call after the other."""

    def __init__(self, folder: Path) -> None:
        self._root, self._prefix = Folder(), str(folder)
        self._files: dict[int, File] = {}

    def take(self, entry: Entry) -> None:
        """Do what a call did."""
        if entry.kind in (WRITE, TRUNCATE):
            self._files[entry.inode].pending.append((entry.kind, entry.offset, entry.data))
            return
        if entry.kind == SYNC:
            self._sync(entry)
            return
        folder, name = self._find(entry.path)
        if entry.kind == CREATE:
            self._files[entry.inode] = file = File()
            folder.change({name: file})
        elif entry.kind == MKDIR:
            self._files.pop(entry.inode, None)  # the number of a file that is gone
            folder.change({name: Folder()})
        elif entry.kind in (UNLINK, RMDIR):
            folder.change({name: None})
        elif entry.kind in (RENAME, EXCHANGE):
            other, new = self._find(entry.data.decode())
            assert other is folder, f"{entry.path} moved into another folder, which the model does not know"
            there = folder.names[new] if entry.kind == EXCHANGE else None
            folder.change({name: there, new: folder.names[name]})

    def lost(self) -> dict[str, bytes]:
        """Return the files, by path, where nothing is left of what was not synced."""
        return self._read(lambda file: [], lambda folder: [])

    def kept(self) -> dict[str, bytes]:
        """Return the files, by path, where everything is there, as after a kill."""
        return self._read(lambda file: file.pending, lambda folder: folder.pending)

    def mixed(self, draw: random.Random) -> dict[str, bytes]:
        """Return the files, by path, where chance decides for each write, each sector of some, and each folder."""

        def some(file: File) -> list[Change]:
            changes = []
            for change in file.pending:
                fate = draw.random()
                if fate < 0.4:
                    changes.append(change)
                elif fate < 0.6:
                    changes += _sectors(change, draw)
            return changes

        return self._read(some, lambda folder: folder.pending[: draw.randint(0, len(folder.pending))])

    def torn(self, entry: Entry, draw: random.Random) -> dict[str, bytes]:
        """Return the files, by path, where the newest write, this entry, ended in its midst."""
        file, end = self._files[entry.inode], draw.randrange(len(entry.data) or 1)
        cut = (WRITE, entry.offset, entry.data[:end])
        return self._read(
            lambda one: [*one.pending[:-1], cut] if one is file else one.pending, lambda folder: folder.pending
        )

    def _sync(self, entry: Entry) -> None:
        if file := self._files.get(entry.inode):
            folder, name = self._find(entry.path)
            if folder.names.get(name) is not file:  # safetensors renames by a system call that no library sees
                (old,) = (old for old, node in folder.names.items() if node is file)
                folder.change({old: None, name: file})
            file.durable, file.pending = file.after(file.pending), []
            return
        synced: File | Folder = self._root
        if entry.path != self._prefix:
            folder, name = self._find(entry.path)
            synced = folder.names[name]
        assert isinstance(synced, Folder), f"{entry.path} was synced before the record shows that it was made"
        synced.durable, synced.pending = synced.after(synced.pending), []

    def _find(self, path: str) -> tuple[Folder, str]:
        """Return the folder of a path, and the name in it."""
        *above, name = path.removeprefix(f"{self._prefix}/").split("/")
        folder = self._root
        for part in above:
            inner = folder.names[part]
            assert isinstance(inner, Folder), f"{path}: {part} is no folder"
            folder = inner
        return folder, name

    def _read(
        self, changes: Callable[[File], list[Change]], renamings: Callable[[Folder], list[Renaming]]
    ) -> dict[str, bytes]:
        found: dict[str, bytes] = {}

        def walk(folder: Folder, path: str) -> None:
            for name, node in sorted(folder.after(renamings(folder)).items()):
                if isinstance(node, File):
                    found[f"{path}{name}"] = node.after(changes(node))
                else:
                    found[f"{path}{name}/"] = b""
                    walk(node, f"{path}{name}/")

        walk(self._root, "")
        return found


def write_files(files: dict[str, bytes], folder: Path) -> None:
    """Write the files of a state into a new folder; a path that ends with `/` is a folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        if name.endswith("/"):
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)


def key_of(files: dict[str, bytes]) -> bytes:
    """Return a key that only equal states share."""
    digest = hashlib.blake2b()
    for name, content in files.items():
        digest.update(f"{len(name)} {len(content)} {name}".encode() + content)
    return digest.digest()


def _rename(names: dict[str, File | Folder], renaming: Renaming) -> None:
    for name, node in renaming.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _sectors(change: Change, draw: random.Random) -> list[Change]:
    """Return some of the sectors of a write."""
    kind, offset, data = change
    if kind == TRUNCATE:
        return []
    starts = range(0, len(data), SECTOR_BYTES)
    return [(WRITE, offset + at, data[at : at + SECTOR_BYTES]) for at in starts if draw.random() < 0.5]
