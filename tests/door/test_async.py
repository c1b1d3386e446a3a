"""A decider in an event loop: the loop goes on, async teachers run in it, many tasks decide at once."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from aegis.door import Decider, DeciderConfig
from aegis.door.teacher import MOST_AT_ONCE
from aegis.errors import DataError, StoreError, TeacherError
from aegis.lifecycle import open_store

ACTIONS = ["refund", "escalate", "answer"]


@pytest.fixture
def make_decider(tmp_path):
    made = []

    def make(teacher, **options):
        made.append(Decider("router", ACTIONS, teacher, workspace=tmp_path, **options))
        return made[-1]

    yield make
    for decider in made:
        decider.close()


async def beats(until):
    """Return the longest time that the loop stood still."""
    longest, last = 0.0, time.perf_counter()
    while not until.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    return longest


def test_a_slow_async_teacher_runs_in_the_callers_loop_and_many_tasks_decide_at_once(make_decider):
    loops = set()

    async def slow(state, actions):
        loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0.2)
        return actions[state["n"] % 3]

    decider = make_decider(slow)

    async def work():
        started = time.perf_counter()
        made = asyncio.gather(*(decider.adecide({"n": n}, episode=f"e{n % 10}") for n in range(100)))
        longest = await beats(made)
        for one in await made:
            await decider.areport(one, 1.0, detail="done")
        return made.result(), longest, time.perf_counter() - started, {asyncio.get_running_loop()}

    decided, longest, seconds, own = asyncio.run(work())
    assert [one.action for one in decided] == [ACTIONS[n % 3] for n in range(100)]
    assert loops == own
    assert seconds < 15  # one after the other they would take twenty, and the reports more
    assert longest < 2
    with open_store(decider.workspace) as store:
        examples = list(store.examples())
    assert {example.decision.state["n"] for example in examples} == set(range(100))
    assert {example.outcome.reward for example in examples} == {1.0}
    assert {example.decision.policy for example in examples} == {"slow"}


def test_a_slow_sync_teacher_does_not_hold_up_the_loop(make_decider):
    def slow(state, actions):
        time.sleep(0.3)
        return "answer"

    decider = make_decider(slow)

    async def work():
        made = asyncio.ensure_future(decider.adecide("where"))
        beaten = 0
        while not made.done():
            await asyncio.sleep(0.01)
            beaten += 1
        return (await made).action, beaten

    action, beaten = asyncio.run(work())
    assert action == "answer"
    assert beaten > 5


def test_an_async_teacher_decides_without_a_loop_too_and_beside_one_that_waits(make_decider):
    async def teacher(state, actions):
        await asyncio.sleep(0)
        return {"refund": 3.0, "answer": 1.0}

    decider = make_decider(teacher)
    assert decider.decide("broken").probabilities == {"refund": 0.75, "escalate": 0.0, "answer": 0.25}

    async def work():
        first = await decider.adecide("broken")
        return first.action, decider.decide("broken").action  # in the loop's own thread: the loop waits, no deadlock

    assert asyncio.run(work()) == ("refund", "refund")
    assert decider.decide("after the loop has ended").action == "refund"


def test_a_sync_decision_does_not_need_the_loop_that_decided_last_and_audits_run_there(make_decider, wait_for):
    """The loop's thread waits for other threads that decide; what nobody waits for may use the loop of a client."""
    loops = []

    async def teacher(state, actions):
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0.01)
        return "answer"

    decider = make_decider(teacher)

    async def work():
        await decider.adecide("first")
        own, audits = asyncio.get_running_loop(), []
        with ThreadPoolExecutor(2) as pool:
            assert [pool.submit(decider.decide, "held up").result(60).action for _ in range(2)] == ["answer"] * 2
            assert own not in loops[1:]
            audits.append(pool.submit(decider.teacher.decide, [{"n": 1}], decider.actions))  # as the monitor asks it
            await asyncio.wrap_future(audits[0])
        assert loops[0] is loops[-1] is own
        assert (await decider.adecide("last")).action == "answer"
        assert loops[-1] is own

    asyncio.run(work())


def test_a_report_does_not_wait_for_decisions_that_take_their_time(make_decider):
    free = threading.Event()

    def slow(state, actions):
        assert state["text"] == "quick" or free.wait(60)
        return "answer"

    decider = make_decider(slow)

    async def work():
        quick = await decider.adecide("quick")
        waiting = [asyncio.ensure_future(decider.adecide("slow")) for _ in range(MOST_AT_ONCE + 2)]
        await asyncio.sleep(0.1)
        await asyncio.wait_for(decider.areport(quick, 1.0), 30)
        assert not any(one.done() for one in waiting)
        free.set()
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(work())) == MOST_AT_ONCE + 2


def test_a_task_that_is_cancelled_cancels_the_call_of_its_async_teacher(make_decider):
    calls = []

    async def teacher(state, actions):
        calls.append("begun")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            calls.append("cancelled")
            raise

    decider = make_decider(teacher)

    async def work():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(decider.adecide("never"), 0.2)
        while calls != ["begun", "cancelled"]:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(work(), 60))
    with open_store(decider.workspace) as store:
        assert store.count() == 0


def test_errors_arrive_where_they_are_awaited(make_decider):
    async def teacher(state, actions):
        if state["text"] == "odd":
            raise ZeroDivisionError("the teacher's own")
        return "dance"

    decider = make_decider(teacher)
    for state, error in (("odd", ZeroDivisionError), ("even", TeacherError), (7, DataError)):
        with pytest.raises(error):
            asyncio.run(decider.adecide(state))
    with pytest.raises(StoreError, match="no decision 'nobody'"):
        asyncio.run(decider.areport("nobody", 1.0))
    with open_store(decider.workspace) as store:
        assert store.count() == 0


def test_a_task_that_is_cancelled_leaves_the_others_alone_and_the_decider_closes(make_decider):
    begun = threading.Event()

    async def teacher(state, actions):
        begun.set()
        await asyncio.sleep(3600 if state["text"] == "never" else 0)
        return "answer"

    decider = make_decider(teacher)

    async def work():
        never = asyncio.ensure_future(decider.adecide("never"))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        never.cancel()
        return (await decider.adecide("now")).action

    assert asyncio.run(work()) == "answer"
    decider.close()
    with pytest.raises(StoreError, match="is closed"):
        asyncio.run(decider.adecide("closed"))


@pytest.fixture
def loaded(monkeypatch):
    """Return the names of the teachers that were loaded."""
    names = []

    class Model:
        name, parameters, source = "gpt2", 7, "hub"

        def decide(self, states, actions):
            from aegis.types import Choice

            return [Choice.best((0.0, 1.0, 0.0), actions, self.name, "teacher") for _ in states]

    def load(name, device):
        names.append((name, device))
        return Model()

    monkeypatch.setattr("aegis.door.teacher.load_teacher", load)
    return names


def test_a_teachers_name_is_enough_and_it_is_loaded_when_first_asked(make_decider, loaded):
    decider = make_decider("gpt2", config=DeciderConfig(device="cpu"))
    assert loaded == []
    with open_store(decider.workspace) as store:
        assert (store.teacher().name, store.teacher().source) == ("gpt2", "gpt2")
    threads = [threading.Thread(target=decider.decide, args=("broken",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [("gpt2", "cpu")]
    assert decider.decide("broken").policy == "gpt2"
    assert decider.teacher.parameters == 7


def test_auto_is_loaded_at_once_and_an_unknown_name_is_refused(make_decider, loaded):
    make_decider("auto")
    assert [name for name, _ in loaded] == ["auto"]
    with pytest.raises(TeacherError, match="no teacher 'dance'"):
        make_decider("dance")


def test_savings_are_reported_with_the_price_that_is_given(make_decider):
    decider = make_decider(lambda state, actions: "answer", config=DeciderConfig(mode="observe"))
    decider.decide("where")
    assert str(decider.report_savings(cost_per_call=0.01)) == "no HRM has passed the gate yet: 1 decision recorded"
