"""AEGIS's errors as answers: the status, the type and the message of each."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from aegis.errors import AegisError, ConfigError, DataError, NobodyDecidesError, StoreError, TeacherError
from aegis.serving.middleware import fault_body
from aegis.serving.point import UnknownActionError, UnknownDecisionError, UnknownPointError

_STATUS: tuple[tuple[type[AegisError], int, str], ...] = (
    (UnknownPointError, 404, "unknown_point"),
    (UnknownDecisionError, 404, "unknown_decision"),
    (UnknownActionError, 409, "unknown_action"),
    (NobodyDecidesError, 503, "nobody_decides"),
    (TeacherError, 502, "teacher"),
    (StoreError, 503, "store"),
    (DataError, 400, "data"),
    (ConfigError, 400, "point"),
)
"""The status and the type of each error, the first that fits"""


class Fault(NamedTuple):
    """An error as an answer."""

    status: int
    body: bytes
    headers: dict[str, str]


def explain(error: AegisError) -> Fault:
    """Return an error as an answer."""
    status, kind = next(((code, kind) for known, code, kind in _STATUS if isinstance(error, known)), (500, "fault"))
    body: dict[str, Any] = fault_body(kind, str(error))
    if isinstance(error, NobodyDecidesError):
        body["error"]["actions"] = error.actions
    return Fault(status, json.dumps(body).encode(), {"retry-after": "1"} if kind == "store" else {})
