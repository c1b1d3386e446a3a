"""Questions of several threads, answered together: each gets its own answer, nobody waits for company."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from aegis.hrm.onnx.gathering import Gathering


def test_a_thread_that_is_alone_is_answered_alone():
    asked = []

    def answer(questions):
        asked.append(list(questions))
        return [2 * one for one in questions]

    gathering = Gathering(answer, 4)
    assert [gathering.ask(number) for number in (1, 2)] == [2, 4]
    assert asked == [[1], [2]]


def ask_together(answer, threads, most):
    """Ask 0, and 1 to `threads` while 0 is answered; return the batches and what each asker got."""
    batches, begun, release = [], threading.Event(), threading.Event()

    def watched(questions):
        batches.append(list(questions))
        if questions == [0]:
            begun.set()
            assert release.wait(30)
        return answer(questions)

    gathering = Gathering(watched, most)
    with ThreadPoolExecutor(threads + 1) as pool:
        asking = [pool.submit(gathering.ask, 0)]
        assert begun.wait(30)
        asking += [pool.submit(gathering.ask, number) for number in range(1, threads + 1)]
        while gathering.waiting < threads:
            time.sleep(0.001)
        release.set()
    return batches, asking


def test_what_waits_goes_next_in_one_batch_and_each_gets_its_own_answer():
    batches, asking = ask_together(lambda questions: [10 * one for one in questions], threads=5, most=3)
    assert [one.result() for one in asking] == [0, 10, 20, 30, 40, 50]
    assert batches[0] == [0]
    assert [len(batch) for batch in batches[1:]] == [3, 2]
    assert sorted(batches[1] + batches[2]) == [1, 2, 3, 4, 5]


def test_an_error_reaches_everybody_in_its_batch_and_nobody_else():
    def answer(questions):
        if 2 in questions:
            raise ValueError("two")
        return list(questions)

    _, asking = ask_together(answer, threads=2, most=8)
    assert asking[0].result() == 0
    for one in asking[1:]:
        with pytest.raises(ValueError, match="two"):
            one.result()


def test_a_thread_that_is_interrupted_leaves_the_questions_of_the_others_to_them():
    interrupted = []

    def answer(questions):
        if len(questions) > 1 and not interrupted:
            interrupted.append(list(questions))
            raise KeyboardInterrupt
        return [10 * one for one in questions]

    _, asking = ask_together(answer, threads=4, most=4)
    errors = [one.exception() for one in asking]
    assert [type(error) for error in errors if error] == [KeyboardInterrupt]
    assert len(interrupted) == 1
    assert all(one.result() == 10 * number for number, one in enumerate(asking) if errors[number] is None)
