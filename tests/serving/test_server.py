"""The socket that a server listens at."""

from __future__ import annotations

import socket

import pytest

from aegis.errors import ConfigError
from aegis.serving import Listening
from aegis.serving.server import listen


def test_what_is_sent_in_two_parts_does_not_wait_for_an_acknowledgement():
    # asyncio switches Nagle's algorithm off for sockets whose protocol is named; else each answer takes 40 ms.
    with listen(Listening(port=0)) as bound, socket.create_connection(bound.getsockname()):
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP


def test_an_address_that_is_taken_or_none_is_named():
    with listen(Listening(port=0)) as bound, pytest.raises(ConfigError, match="name another --port"):
        listen(Listening(port=bound.getsockname()[1]))
    with pytest.raises(ConfigError, match="can't listen there"):
        listen(Listening("nowhere.invalid", 0))
