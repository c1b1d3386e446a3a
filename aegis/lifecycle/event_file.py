"""Scalars in a file that TensorBoard reads, written here: the libraries that write such files import torch.

A file is a row of TFRecord's records; each holds an `Event` in protobuf's encoding. An agent whose teacher is behind an
endpoint, or whose HRM decides by ONNX Runtime, has no other use for torch: two seconds at its start, and 200 MB.
"""

from __future__ import annotations

import functools
import os
import socket
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_VERSION = b"brain.Event:2"
_POLYNOMIAL = 0x82F63B78
"""Castagnoli's, bits reversed: that of CRC-32C"""


class EventFile:
    """A new event file in a folder, which is made where it is missing. What is added is in the file at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        began = time.time()
        # TensorBoard knows the files by the second part of their names.
        self._file = (folder / f"events.out.tfevents.{began:.6f}.{socket.gethostname()}.{os.getpid()}").open("wb")
        self._add(b"\x1a" + _counted(_VERSION), began)

    def add(self, name: str, value: float, step: int) -> None:
        """Add one point of the curve `name`."""
        point = b"\x0a" + _counted(name.encode()) + b"\x15" + struct.pack("<f", value)
        self._add(b"\x10" + _varint(step) + b"\x2a" + _counted(b"\x0a" + _counted(point)), time.time())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, fields: bytes, at: float) -> None:
        event = b"\x09" + struct.pack("<d", at) + fields
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked_crc(length) + event + _masked_crc(event))
        self._file.flush()


def _varint(number: int) -> bytes:
    """Return a number from 0 in protobuf's encoding: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _counted(content: bytes) -> bytes:
    return _varint(len(content)) + content


@functools.cache
def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


def _masked_crc(content: bytes) -> bytes:
    """Return the checksum of TFRecord: a CRC-32C, rotated and moved."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
