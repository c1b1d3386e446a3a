from __future__ import annotations

import threading
import time

import pytest

from aegis.errors import ActionError
from aegis.research.timeout import TimeLimiter


@pytest.fixture
def ending():
    """Ends everything that hangs at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def hanging():
    return [thread for thread in threading.enumerate() if thread.name == "aegis-limited"]


def test_a_call_returns_what_its_function_returns_or_raises():
    limiter = TimeLimiter()
    assert limiter.call(divmod, 7, 2, timeout_seconds=60) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        limiter.call(divmod, 7, 0, timeout_seconds=60)


def test_a_call_may_return_none():
    assert TimeLimiter().call(lambda: None, timeout_seconds=60) is None


def test_a_call_that_hangs_ends_in_time(ending):
    with pytest.raises(ActionError, match=r"no result within 0\.05 s"):
        TimeLimiter().call(ending.wait, timeout_seconds=0.05)
    assert not ending.is_set()


def test_calls_that_hang_do_not_pile_up_and_make_room_when_they_end(ending):
    limiter = TimeLimiter(most_hanging=3)
    deadline = time.monotonic() + 60
    while hanging() and time.monotonic() < deadline:  # leftovers of an earlier test end first
        time.sleep(0.01)
    for _ in range(20):
        with pytest.raises(ActionError):
            limiter.call(ending.wait, timeout_seconds=0.01)
    assert len(hanging()) == 3
    with pytest.raises(ActionError, match="3 earlier calls still hang"):
        limiter.call(int, timeout_seconds=60)
    ending.set()
    while hanging() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert limiter.call(int, timeout_seconds=60) == 0
