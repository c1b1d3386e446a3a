"""Ctrl-C while Python imports: what an import makes of a `KeyboardInterrupt` can be any error, or none.

So it ends the process there, and before a command begins. Elsewhere it is a `KeyboardInterrupt` as ever.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = 130
_LOOK_SECONDS = 0.01
_IMPORTS = "<frozen importlib._bootstrap>"
_waits = False
"""Whether a Ctrl-C waits for the end of an import"""


def end_at_once() -> None:
    """Let Ctrl-C end the process in one line until a command begins; where it is ignored, it stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def begin() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` from now on, and end the process only while Python imports."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, _interrupt_or_end)


def end_silently() -> None:
    """Let Ctrl-C end a process that is over without a word."""
    if signal.getsignal(signal.SIGINT) in (_end, _interrupt_or_end):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def imports_spared() -> Iterator[None]:
    """Let Ctrl-C wait for the end of an import in the block, which goes on after a `KeyboardInterrupt`.

    A second one ends the process.
    """
    before = signal.signal(signal.SIGINT, _interrupt_after_import)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_or_end(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        _end(number, frame)
    raise KeyboardInterrupt


def _interrupt_after_import(number: int, frame: FrameType | None) -> None:
    global _waits
    if not _is_importing(frame):
        raise KeyboardInterrupt
    if _waits:
        _end(number, frame)
    _waits = True
    import threading

    threading.Thread(target=_interrupt_later, name="interrupt", daemon=True).start()


def _interrupt_later() -> None:
    import threading
    import time

    global _waits
    main = threading.main_thread().ident or 0
    while _is_importing(sys._current_frames().get(main)):
        time.sleep(_LOOK_SECONDS)
    _waits = False
    # To the main thread itself, which may sleep by now: a signal that another thread takes would not wake it.
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTS:
            return True
        frame = frame.f_back
    return False


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends already
    with contextlib.suppress(RuntimeError, OSError):  # it may be in the middle of writing
        sys.stdout.flush()
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar hides it
    os.write(2, f"{show_cursor}\nStopped.\n".encode())
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a library's complaint that it is half imported
    atexit._run_exitfuncs()  # temporary folders are removed, child processes ended
    os._exit(INTERRUPTED)
