"""One request and its answer, as steps to carry out: what is sent, what is sent again, errors."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

from aegis.errors import AegisError, ConfigError, DataError, NobodyDecidesError, RequestError, StoreError, TeacherError
from aegis.http import shown

_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_ERRORS: dict[int, type[AegisError]] = {
    **dict.fromkeys((400, 409, 413, 422), DataError),
    **dict.fromkeys((401, 403), ConfigError),
    404: StoreError,
    502: TeacherError,
}
_NOBODY = "nobody_decides"


class Post(NamedTuple):
    """A request: its path, and its body as JSON."""

    path: str
    body: bytes


Steps = Generator[Post | float | Callable[[], Any], Any, Any]
"""Yields what is next (a request, seconds to wait, a function to call) and is sent its result, e.g. a response"""


def make_post(path: str, fields: Mapping[str, Any]) -> Post:
    """Return a request without the fields that are None; raises `DataError` for what is no JSON."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return Post(path, json.dumps(given, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"what is sent must be JSON: {error}") from None


def exchange(post: Post, again: bool) -> Steps:
    """Return the body of an answer; raises what it says went wrong.

    What the server did not take on is sent again after a pause. again: also what it may have carried out already.
    """
    pause = _FIRST_PAUSE_SECONDS
    for attempts_left in reversed(range(_ATTEMPTS)):
        answer = yield post
        if not isinstance(answer, Exception) and answer.status_code < 300:
            return answer.json()
        wait = _pause_before_next(answer, again, pause * random.uniform(0.75, 1.25))
        if not attempts_left or wait is None:
            raise _make_error(answer)
        yield wait
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    raise AssertionError("the last attempt returns or raises")


def _pause_before_next(answer: Any, again: bool, pause: float) -> float | None:
    """Return the seconds before the same request is worth another attempt; None where it is not."""
    import httpx2

    if isinstance(answer, Exception):
        return pause if again or isinstance(answer, (httpx2.ConnectError, httpx2.ConnectTimeout)) else None
    asked = answer.headers.get("retry-after", "")
    if not asked.isdecimal():
        return None
    return max(pause, float(asked)) if float(asked) <= _LONGEST_PAUSE_SECONDS else None


def _make_error(answer: Any) -> AegisError:
    if isinstance(answer, Exception):
        return RequestError(f"the server can't be reached or broke off: {answer or type(answer).__name__}")
    try:
        fault = answer.json()["error"]
        kind, message = str(fault["type"]), str(fault["message"])
    except (ValueError, KeyError, TypeError):
        kind, message = "", f"status {answer.status_code}: {shown(answer.content)}"
    if kind == _NOBODY:
        return NobodyDecidesError(message, fault.get("actions") or ())
    if answer.status_code in _ERRORS:
        return _ERRORS[answer.status_code](message)
    return RequestError(message, answer.status_code, answer.content)
