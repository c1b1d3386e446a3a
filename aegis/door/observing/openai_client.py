"""`observe_openai`: a client of OpenAI's, its decisions recorded: enums in structured outputs, and tool choices."""

from __future__ import annotations

import functools
import inspect
import os
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from aegis.door.given import Actions
from aegis.door.intake.survey import make_specs
from aegis.door.observing.exchange import to_exchange, tokens_of
from aegis.door.observing.fault import FaultBook
from aegis.door.observing.observer import Observer, Place, make_config
from aegis.door.observing.recorder import Noted
from aegis.door.observing.wrapping import Cost, price_of
from aegis.door.savings import Savings
from aegis.errors import ConfigError
from aegis.formats import Fields, LoggedDecision
from aegis.formats.openai import parse
from aegis.formats.record import NoDecision
from aegis.lifecycle.event import RunEvent
from aegis.rendering import canonical_json
from aegis.types import ActionSpec, utc_now
from aegis.workspace import DEFAULT_WORKSPACE, to_point_name

Client = TypeVar("Client")
_METHODS = (("chat", "completions"), ("responses",))
_MILLION = 1_000_000


def observe_openai(
    client: Client,
    name: str = "tools",
    *,
    actions: Mapping[str, Actions] | None = None,
    prices: tuple[float, float] | None = None,
    workspace: str | os.PathLike[str] = DEFAULT_WORKSPACE,
    notify: Callable[[RunEvent], None] | None = None,
    **settings: Any,
) -> Client:
    """Observe a client of OpenAI's, sync or async, and return it: it answers as before, and has `observer`.

    Recorded are `create` and `parse` of `chat.completions` and `responses`, where the answer is a decision: a value of
    an enum in a structured output, at the point `SCHEMA-FIELD`; or a tool among those on offer, at the point `name`. A
    `point` in the request's metadata names another one. Everything else, and every stream, passes through unrecorded.
    The model is the teacher: answers of another model at the same point are not recorded.

    actions: of a point by its name, where its first request does not offer all of them. prices: dollars for a million
    tokens read and written. settings: `cost_per_call`, in dollars or a function of the response, in place of prices;
    and the fields of `aegis.DeciderConfig`. The mode is always `observe`: no answer of a model is made up. To let the
    HRM answer, put the call into a function of yours and decorate that with `aegis.observe`. Raises `ConfigError` for
    another mode, and for a client that is observed already.
    """
    cost: Cost | None = settings.pop("cost_per_call", None)
    if prices is not None:
        if cost is not None:
            raise ConfigError("give prices or cost_per_call, not both")
        cost = functools.partial(_price_tokens, prices=prices)
    config = make_config(settings)
    if config.mode != "observe":
        raise ConfigError(
            f"mode={config.mode!r}: a client is only observed. Put the call into a function that returns the decision,"
            " and decorate it with aegis.observe(..., mode='assist')"
        )
    if isinstance(getattr(client, "observer", None), ClientObserver):
        raise ConfigError("this client is observed already: observe it once")
    observer = ClientObserver(name, dict(actions or {}), cost, Place(Path(workspace), config, notify))
    for path in _METHODS:
        resource: Any = client
        for part in path:
            resource = getattr(resource, part, None)
        for method in ("create", "parse"):
            if callable(original := getattr(resource, method, None)):
                setattr(resource, method, observer.wrap(original))
    client.observer = observer  # type: ignore[attr-defined]
    return client


class ClientObserver:
    """Observes the decisions that a client's answers hold, each kind at a decision point of its own."""

    def __init__(self, name: str, actions: Mapping[str, Actions], cost: Cost | None, place: Place) -> None:
        self._name = name
        self._actions = actions
        self._cost = cost
        self._place = place
        self._faults = FaultBook("an OpenAI client")
        self._points: dict[str, Observer | None] = {}
        self._lock = threading.Lock()
        self.passed = 0
        """Answers that held no decision"""

    @property
    def points(self) -> dict[str, Observer]:
        """The decision points that answers were recorded at, by name."""
        return {name: observer for name, observer in self._points.items() if observer is not None}

    @property
    def faults(self) -> dict[str, int]:
        """What went wrong in AEGIS, by kind, here and at every point."""
        found = self._faults.counts
        for observer in self.points.values():
            for kind, count in observer.faults.items():
                found[kind] = found.get(kind, 0) + count
        return found

    def savings(self) -> dict[str, Savings]:
        """Return what could be the HRM's by now, at each point."""
        return {name: observer.savings() for name, observer in self.points.items()}

    def flush(self) -> bool:
        """Wait until every decision so far is on the disk; return whether it is."""
        return all(list(map(Observer.flush, self.points.values())))  # each is waited for

    def close(self) -> None:
        """Record what waits and end the threads; happens by itself at the end of the process."""
        for observer in self.points.values():
            observer.close()

    def wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a client's method that answers as before and is observed."""

        @functools.wraps(method)
        def observed(*args: Any, **kwargs: Any) -> Any:
            response = method(*args, **kwargs)
            if inspect.isawaitable(response):
                return self._wait(response, kwargs)
            self._note(kwargs, response)
            return response

        return observed

    async def _wait(self, pending: Awaitable[Any], request: Mapping[str, Any]) -> Any:
        response = await pending
        self._note(request, response)
        return response

    def _note(self, request: Mapping[str, Any], response: Any) -> None:
        try:
            decisions = parse(to_exchange(request, response), Fields(whole=True))
            dollars = self._price(response)
            for decision in decisions:
                if decision.action not in decision.offered:  # several tools at once
                    raise NoDecision
                self._note_decision(request, decision, None if dollars is None else dollars / len(decisions))
        except NoDecision:
            self.passed += 1
        except Exception as error:
            self._faults.note("answer", error)

    def _price(self, response: Any) -> float | None:
        try:
            return price_of(self._cost, response)
        except Exception as error:
            self._faults.note("cost", error)
            return None

    def _note_decision(self, request: Mapping[str, Any], decision: LoggedDecision, dollars: float | None) -> None:
        observer = self._observer(request, decision)
        if observer is None:
            return
        offered = {spec.name for spec in make_specs(decision.offered)}
        observer.note(
            Noted(
                canonical_json(decision.state),
                make_specs([decision.action])[0].name,
                utc_now(),
                decision.episode or None,
                dollars,
                offered=tuple(name for name in observer.actions.names if name in offered),
            )
        )

    def _observer(self, request: Mapping[str, Any], decision: LoggedDecision) -> Observer | None:
        """Return the observer of the decision's point, made at its first decision; None where it can't be."""
        name = _slug(decision.name or self._name)
        model = str(request.get("model", ""))
        with self._lock:
            if name not in self._points:
                self._points[name] = None  # a point that can't be made is tried once
                specs = self._actions.get(name) or _specs(decision, request)
                self._points[name] = Observer(name, specs, model, f"openai:{model}", self._place)
            observer = self._points[name]
        if observer is None:
            self._faults.note("point", f"{name} can't be observed")
        elif observer.teacher != model:
            observer.fault("teacher", f"decisions of {model} at a point of {observer.teacher} are not recorded")
            return None
        return observer


def _specs(decision: LoggedDecision, request: Mapping[str, Any]) -> list[ActionSpec]:
    """Return the actions that a request offers, with the descriptions of its tools."""
    described: dict[str, str] = {}
    for tool in request.get("tools") or ():
        function = tool.get("function", tool) if isinstance(tool, Mapping) else {}
        if isinstance(function, Mapping):
            described[str(function.get("name"))] = str(function.get("description") or "")
    labels = sorted(decision.offered)
    return [
        replace(spec, description=described.get(label) or spec.description)
        for label, spec in zip(labels, make_specs(labels), strict=True)
    ]


def _slug(name: str) -> str:
    return to_point_name(re.sub(r"[^\w-]+", "-", name).strip("-").lstrip("-_") or "unnamed")[:64]


def _price_tokens(response: Any, prices: tuple[float, float]) -> float | None:
    tokens = tokens_of(response)
    return None if tokens is None else (tokens[0] * prices[0] + tokens[1] * prices[1]) / _MILLION
