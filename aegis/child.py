"""Work in a child process that reports as it goes and is killed when its time is over."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from aegis.errors import AegisError

_LOOK_SECONDS = 1.0
"""Longest wait for a message before the clock is read again, in seconds"""

Tell = Callable[[Any], None]
"""Sends a message to the parent process; the message must be picklable"""


def run_in_child(
    work: Callable[..., None],
    *arguments: Any,
    seconds: float,
    on_message: Callable[[Any], None],
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Call `work(tell, *arguments)` in a child process, and pass each message it tells to `on_message`.

    Return whether the work ended within `seconds`. The child is killed at that time, or when this call is interrupted.
    Raises `AegisError` when the work raised an `AegisError` (with its message) or when the child process died.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, work, arguments), daemon=True)
    ends = clock() + seconds
    process.start()
    sender.close()  # so that the messages end when the child process ends
    try:
        while (left := ends - clock()) > 0:
            if not receiver.poll(min(left, _LOOK_SECONDS)):
                continue
            try:
                kind, content = receiver.recv()
            except EOFError:
                process.join()
                raise AegisError(
                    f"the process for {work.__name__!r} ended by itself (exit code {process.exitcode}): see its"
                    " message above; without a message, the system may have ended it for lack of memory"
                ) from None
            if kind == "done":
                return True
            if kind == "failed":
                raise AegisError(content)
            on_message(content)
        return False
    finally:
        process.kill()
        process.join()
        receiver.close()


def _work(sender: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the parent decides
    try:
        work(lambda message: sender.send(("told", message)), *arguments)
        sender.send(("done", None))
    except BrokenPipeError:
        pass  # the parent no longer waits
    except AegisError as error:
        sender.send(("failed", str(error)))
