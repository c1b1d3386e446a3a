"""Asks for the labels of a log, many at once, and writes them in the log's order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from aegis.cluster.asking import Refused
from aegis.door.labelling.output import LabelFile
from aegis.door.labelling.row import Row
from aegis.types import ActionList, Choice, State, utc_now

Ask = Callable[[State, ActionList], Choice | Refused]
"""Returns a state's choice, or why there is none; several threads call it at the same time"""

_AHEAD = 4
"""Lines that wait for their turn, for each that is asked about"""
_WRITTEN_AT_ONCE = 50


def label_rows(
    rows: Iterable[Row],
    output: LabelFile,
    ask: Ask,
    parallel: int,
    most_calls: int | None = None,
    on_progress: Callable[[int], None] = lambda row: None,
) -> str:
    """Label the rows, and return why it ended before the last one; '' at the end of the log.

    parallel: rows that are asked about at the same time. most_calls: the most rows that are asked about, those of
    earlier runs included. A row that gets no label becomes a line with its error.
    """
    waiting: deque[tuple[Row, Future[Choice | Refused] | None]] = deque()
    asked, ended = output.reached.asked, ""
    with ThreadPoolExecutor(parallel, "aegis-label") as pool:
        for row in rows:
            future = None
            if row.logged is not None and row.offered is not None:
                if most_calls is not None and asked >= most_calls:
                    ended = f"the budget of {most_calls:,} calls is used up: raise --max-calls to go on"
                    break
                future = pool.submit(ask, row.logged.state, row.offered)
                asked += 1
            waiting.append((row, future))
            if len(waiting) >= _AHEAD * parallel:
                ended = _write(waiting, output, on_progress)
                if ended:
                    break
        while waiting:
            ended = _write(waiting, output, on_progress) or ended
    return ended


def _write(
    waiting: deque[tuple[Row, Future[Choice | Refused] | None]], output: LabelFile, on_progress: Callable[[int], None]
) -> str:
    """Write the first rows; return why no row will get a label any more, and leave out this one and those after it."""
    records, ended = [], ""
    for _ in range(min(_WRITTEN_AT_ONCE, len(waiting))):
        row, future = waiting.popleft()
        answer = Refused(row.fault) if future is None else future.result()
        if isinstance(answer, Refused) and answer.for_all:
            ended = answer.reason
            waiting.clear()
            break
        records.append(row.refused(answer.reason) if isinstance(answer, Refused) else row.labelled(answer, utc_now()))
        if waiting and waiting[0][1] is not None and not waiting[0][1].done():
            break
    if records:
        output.append(records)
        on_progress(output.reached.row)
    return ended
