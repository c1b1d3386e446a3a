"""An observed function: nothing of it changes, its decisions are recorded, and by mode the HRM answers instead."""

from __future__ import annotations

import asyncio
import enum
import inspect
import threading
import time
from collections import Counter

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import MonitorConfig, ReinforceConfig, RolloutConfig
from aegis.errors import ConfigError
from aegis.lifecycle import open_store
from aegis.store import LabelBook


class Verdict(enum.Enum):
    YES = 1
    NO = 2


class RouterError(Exception):
    pass


def test_nothing_of_an_observed_function_changes(observing):
    def route(ticket: str, *, tier: str = "new") -> str:
        """Route a ticket."""
        if not ticket:
            raise RouterError("an empty ticket")
        return "refund"

    observed = observing()(route)
    assert observed("broken") == "refund"
    assert inspect.signature(observed) == inspect.signature(route)
    assert (observed.__name__, observed.__doc__, observed.__wrapped__) == ("route", "Route a ticket.", route)
    with pytest.raises(RouterError, match="an empty ticket"):
        observed("")
    with pytest.raises(TypeError):
        observed()
    assert observed.observer.flush()
    assert observed.observer.recorded == 1


def test_what_the_function_decided_is_recorded_with_its_arguments_as_the_state(observing, recorded, rule):
    observed = observing()(rule)
    observed("my money", tier="gold")
    observed("how")
    assert observed.observer.flush()
    first, second = recorded()
    assert (first.state, first.action.name, first.policy) == ({"ticket": "my money", "tier": "gold"}, "refund", "route")
    assert (second.state, second.action.name) == ({"ticket": "how", "tier": "new"}, "answer")
    assert first.probabilities == (1.0, 0.0, 0.0)
    assert first.decided_at < second.decided_at


def test_the_state_is_what_the_function_knew_before_it_decided(observing, recorded):
    @observing()
    def route(messages):
        messages.append({"role": "assistant", "content": "refund"})
        return "refund"

    route([{"role": "user", "content": "broken"}])
    assert route.observer.flush()
    assert recorded()[0].state == {"messages": [{"role": "user", "content": "broken"}]}


def test_a_method_is_observed_without_its_object(observing, recorded):
    class Agent:
        @observing()
        def route(self, ticket):
            return "answer"

    agent = Agent()
    assert agent.route("where") == "answer"
    assert Agent.route.observer.flush()
    assert recorded()[0].state == {"ticket": "where"}


def test_state_action_and_episode_are_read_as_the_owner_says(observing, recorded):
    @observing(
        "approval",
        ["yes", "no"],
        state=lambda request, client: request["text"],
        action=lambda verdict: verdict.name.lower(),
        episode=lambda request, client: request["user"],
    )
    def approve(request, client):
        return Verdict.NO

    for _ in range(2):
        assert approve({"text": "may I", "user": "ann"}, object()) is Verdict.NO
    assert approve.observer.flush()
    first, second = recorded("approval")
    assert (first.state, first.action.name) == ({"text": "may I"}, "no")
    assert (first.episode, first.step, second.step) == ("ann", 0, 1)


def test_an_async_function_is_observed_without_waiting_and_its_loop_goes_on(observing, recorded):
    @observing()
    async def route(ticket):
        await asyncio.sleep(0.05)
        return "refund"

    async def many():
        started = time.perf_counter()
        answers = await asyncio.gather(*(route(f"broken {n}") for n in range(200)))
        return answers, time.perf_counter() - started

    answers, seconds = asyncio.run(many())
    assert inspect.iscoroutinefunction(route)
    assert answers == ["refund"] * 200
    assert seconds < 5  # one after the other they would take ten
    assert route.observer.flush()
    assert {decision.state["ticket"] for decision in recorded()} == {f"broken {n}" for n in range(200)}


def test_eight_threads_lose_nothing(observing, recorded, rule, ticket):
    observed = observing()(rule)

    def work(first):
        for number in range(first, 400, 8):
            observed(ticket(number))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert observed.observer.flush()
    assert Counter(decision.state["ticket"] for decision in recorded()) == Counter(ticket(n) for n in range(400))


@pytest.mark.long
def test_the_hrm_answers_silently_beside_the_function_and_its_answers_are_kept(learned, observing, rule, ticket):
    with open_store(learned) as store:
        before = LabelBook(store.database).count("hrm@1")
    assert before >= 100
    events = []
    observed = observing(notify=events.append, cost_per_call=0.01)(rule)
    number, until = 0, time.monotonic() + 120
    with open_store(learned) as store:
        while LabelBook(store.database).count("hrm@1") < before + 20:
            assert time.monotonic() < until
            assert observed(ticket(number)) == rule(ticket(number))
            number += 1
            time.sleep(0.02)
        assert store.teacher().name == "route"
        assert store.count("hrm@1") == 0  # the function decided everything
    savings = observed.observer.savings()
    assert (savings.hrm, savings.live) == ("hrm@1", True)
    assert savings.share > 0.5
    assert savings.agreement > 0.9
    assert 0 < savings.dollars <= 0.01 * savings.calls
    assert observed.observer.faults == {}
    assert str(savings).startswith(f"{savings.share:.0%} of these decisions could be the HRM's at")


@pytest.mark.long
@pytest.mark.parametrize("mode", ["assist", "switch"])
def test_the_hrm_answers_instead_of_the_function_where_it_may(learned, observing, rule, ticket, recorded, mode):
    called = []

    def route(ticket, tier="new"):
        called.append(ticket)
        return rule(ticket)

    observed = observing(mode=mode, sure=0.7, monitor=MonitorConfig(audit_rate=0.2))(route)
    answers, until = [], time.monotonic() + 120
    while answers.count(True) < 20:
        assert time.monotonic() < until
        before = len(called)
        assert observed(ticket(len(answers))) in ("refund", "escalate", "answer")
        answers.append(len(called) == before)
        time.sleep(0.01)
    assert answers[0] is False  # the function decides until the HRM is loaded
    assert observed.observer.flush()
    made = Counter(decision.policy for decision in recorded())
    assert made["hrm@1"] == answers.count(True)
    assert observed.observer.faults == {}


@pytest.mark.long
def test_an_async_function_is_answered_for_in_another_thread(learned, observing, rule, ticket):
    @observing(
        mode="switch", action=str.lower, result=str.upper, monitor=MonitorConfig(audit_rate=0.0, drift_quantile=0)
    )
    async def route(ticket, tier="new"):
        return rule(ticket).upper()

    async def ask():
        until, number = time.monotonic() + 120, 0
        while not route.observer.savings().made:
            assert time.monotonic() < until
            assert await route(ticket(number)) in ("REFUND", "ESCALATE", "ANSWER")
            number += 1
            await asyncio.sleep(0.01)

    asyncio.run(ask())
    assert route.observer.faults == {}


@pytest.mark.long
def test_audited_calls_are_the_functions_and_are_compared_with_the_hrms_answers(learned, observing, rule, ticket):
    observed = observing(mode="switch", monitor=MonitorConfig(audit_rate=1.0))(rule)
    with open_store(learned) as store:
        book, number, until = LabelBook(store.database), 0, time.monotonic() + 120
        before = book.count("hrm@1")
        while book.count("hrm@1") < before + 10:
            assert time.monotonic() < until
            observed(ticket(number))
            number += 1
            time.sleep(0.02)
        assert store.count("hrm@1") == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "sometimes"}, "mode must be one of"),
        ({"colour": "red"}, "colour: no setting of an observed point"),
        ({"mode": "assist", "action": str}, "give result="),
        ({"rollout": RolloutConfig(canary=0.1)}, "leave canary at 0"),
        ({"mode": "switch", "reinforce": ReinforceConfig()}, "use an aegis.Decider for phase 4"),
        ({"name": "../up"}, "decision point"),
        ({"actions": "refund"}, "is one text"),
        ({"actions": ["refund"]}, "at least two actions"),
    ],
)
def test_settings_that_do_not_fit_are_refused_where_the_function_is_decorated(observing, options, said):
    with pytest.raises(ConfigError, match=said):
        observing(**options)


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_a_method_without_an_object_is_observed_below_its_decorator(observing, recorded, kind):
    with pytest.raises(ConfigError, match=f"put it below @{kind.__name__}"):
        observing()(kind(lambda *given: "refund"))
    observed = observing(state=lambda *given: given[-1])

    def decide(*given):
        return "refund"

    class Router:
        route = kind(observed(decide))

    assert Router().route("broken") == "refund"
    assert observed.flush()
    assert len(recorded()) == 1
    observed.close()
    assert observed.recorded == 1


def test_a_generator_returns_no_action_and_is_refused(observing):
    def stream(ticket):
        yield "refund"

    with pytest.raises(ConfigError, match="stream is a generator"):
        observing()(stream)


def test_an_observer_has_one_function(observing, rule):
    observer = observing()
    with pytest.raises(ConfigError, match="has no function yet"):
        observer.savings()
    observer(rule)
    with pytest.raises(ConfigError, match="has a function already"):
        observer(lambda ticket: "refund")


def test_a_status_of_the_point_tells_the_savings_in_one_line(observing, rule):
    observed = observing()(rule)
    observed("how")
    observed.observer.close()
    folder = str(observed.observer._observer.workspace.folder)
    shown = CliRunner().invoke(app, ["status", "--workspace", folder])
    assert shown.exit_code == 0, shown.output
    assert "Savings:    no HRM has passed the gate yet: 1 decision recorded\n" in shown.output
