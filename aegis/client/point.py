"""A decision point on a server, with the methods of a `Decider` in this process."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from aegis.client.exchange import Request, Steps, exchange, make_post
from aegis.door import Decided
from aegis.door.given import Answer, check_texts, make_state, read_answer, read_offer
from aegis.door.outcome import Report, id_of
from aegis.errors import ConfigError, DataError, NobodyDecidesError, RequestError, StoreError
from aegis.http import USER_AGENT
from aegis.packages import imports_explained
from aegis.types import OutcomeStatus, State, most_probable

if TYPE_CHECKING:
    import httpx2

DEFAULT_URL = "http://127.0.0.1:8700"
_JSON = {"Content-Type": "application/json"}
GivenState = State | str | Sequence[Mapping[str, Any]]
"""An object, a text, or chat messages"""
Place = tuple[str, str]
"""A decision point and the id of a decision there"""
Function = Callable[[State, tuple[str, ...]], Any]
"""Decides in a state among the names of the actions, sync or async: returns a name, or probabilities"""


class Client:
    """One decision point of a server. Any thread, and any number of tasks of one event loop, may call it.

    teacher: a function of (state, action names), sync or async, that returns a name or probabilities, of which the most
    probable action is taken. It decides where the server says that nobody there can; what it decided is recorded at the
    server. Raises `MissingPackageError` without the extra `online`, `ConfigError` for a token that can't be sent.

    timeout_seconds: in which the server must answer, each time that it is asked. What it is too busy for (429, 503) is
    sent again, four times at most, after pauses that double.

    The server's errors are raised as a `Decider` raises them: `DataError` for a state or an action that can't be used,
    `StoreError` for an unknown point or decision, `TeacherError` where nobody decides or the teacher failed,
    `ConfigError` for a token that may not. Anything else is a `RequestError`, also what is asked after `close`.
    """

    def __init__(
        self,
        point: str,
        *,
        url: str = DEFAULT_URL,
        token: str | None = None,
        teacher: Function | None = None,
        timeout_seconds: float = 60.0,
    ) -> None:
        with imports_explained("asking a server"):
            import httpx2
        if token and not (token.isascii() and token.isprintable()):
            raise ConfigError("token: has characters that no header can carry: give it as `aegis token` printed it")
        self.point = point
        self._teacher = teacher
        headers = {"User-Agent": USER_AGENT} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._options: dict[str, Any] = {"base_url": url, "headers": headers, "timeout": timeout_seconds}
        self._client = httpx2.Client(**self._options)
        self._aclient: httpx2.AsyncClient | None = None

    def decide(self, state: GivenState, *, offered: Sequence[str] | None = None, episode: str | None = None) -> Decided:
        """Return the action for a state, recorded at the server; as `Decider.decide`."""
        return self._do(self._decide(state, offered, episode))

    async def adecide(
        self, state: GivenState, *, offered: Sequence[str] | None = None, episode: str | None = None
    ) -> Decided:
        """Return the action for a state, recorded at the server; as `Decider.decide`."""
        return await self._ado(self._decide(state, offered, episode))

    def record(
        self, state: GivenState, action: str, *, offered: Sequence[str] | None = None, episode: str | None = None
    ) -> Decided:
        """Record a decision that was made here; as `Decider.record`."""
        return self._do(self._ask_for(state, offered, episode, _check_name(action)))

    async def arecord(
        self, state: GivenState, action: str, *, offered: Sequence[str] | None = None, episode: str | None = None
    ) -> Decided:
        """Record a decision that was made here; as `Decider.record`."""
        return await self._ado(self._ask_for(state, offered, episode, _check_name(action)))

    def report(
        self,
        decision: Decided | str,
        reward: float | None = None,
        *,
        status: OutcomeStatus = "ok",
        parts: Mapping[str, float] | None = None,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what came of a decision; as `Decider.report`."""
        self._do(self._report(decision, _make_report(reward, status, parts, detail, result)))

    async def areport(
        self,
        decision: Decided | str,
        reward: float | None = None,
        *,
        status: OutcomeStatus = "ok",
        parts: Mapping[str, float] | None = None,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what came of a decision; as `Decider.report`."""
        await self._ado(self._report(decision, _make_report(reward, status, parts, detail, result)))

    def feedback(
        self,
        id: str,
        reward: float | None = None,
        *,
        status: OutcomeStatus = "ok",
        parts: Mapping[str, float] | None = None,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> list[Place]:
        """Record what came of a decision, or of all that a language model's response decided; days later, too.

        id: the decision's, or the response's (`chatcmpl-...`), at any point of the server. Returns the decisions that
        it found. The rest is as for `report`. Raises `StoreError` for an id that is not recorded.
        """
        return self._do(_feed_back(id, _make_report(reward, status, parts, detail, result)))

    async def afeedback(
        self,
        id: str,
        reward: float | None = None,
        *,
        status: OutcomeStatus = "ok",
        parts: Mapping[str, float] | None = None,
        detail: str = "",
        result: Mapping[str, Any] | None = None,
    ) -> list[Place]:
        """Record what came of a decision or of a response, as `feedback`."""
        return await self._ado(_feed_back(id, _make_report(reward, status, parts, detail, result)))

    def status(self) -> dict[str, Any]:
        """Return where the point stands, as `aegis status --json`; raises `StoreError` for a point that is not there.

        This, `savings` and `models` need a token with the scope `manage`.
        """
        return self._do(self._view("/v1/status"))

    async def astatus(self) -> dict[str, Any]:
        """Return where the point stands, as `status`."""
        return await self._ado(self._view("/v1/status"))

    def savings(self) -> dict[str, Any]:
        """Return what the point's calls of a language model took (`measured`), and would have taken (`estimated`)."""
        return self._do(self._view("/v1/savings"))

    async def asavings(self) -> dict[str, Any]:
        """Return what the point's calls took, as `savings`."""
        return await self._ado(self._view("/v1/savings"))

    def models(self) -> list[dict[str, Any]]:
        """Return the point's HRMs, the one that serves with `serves`."""
        return self._do(self._list_models())

    async def amodels(self) -> list[dict[str, Any]]:
        """Return the point's HRMs, as `models`."""
        return await self._ado(self._list_models())

    def close(self) -> None:
        """Close the connections of the methods that are not async."""
        self._client.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self.close()
        if self._aclient is not None:
            await self._aclient.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def _do(self, steps: Steps) -> Any:
        """Carry out steps, waiting in this thread."""
        import httpx2

        self._check_open(self._client)
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, float):
                    time.sleep(step)
                    answer = None
                elif isinstance(step, Request):
                    try:
                        answer = self._client.request(step.method, step.path, content=step.body, headers=_JSON)
                    except httpx2.HTTPError as error:
                        answer = error
                else:
                    answer = step()
                    answer = _wait_for(answer) if inspect.isawaitable(answer) else answer
        except StopIteration as end:
            return end.value

    async def _ado(self, steps: Steps) -> Any:
        """Carry out steps, letting other tasks run while it waits."""
        import httpx2

        if self._aclient is None:
            self._aclient = httpx2.AsyncClient(**self._options)
        self._check_open(self._aclient)
        answer: Any = None
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, float):
                    await asyncio.sleep(step)
                    answer = None
                elif isinstance(step, Request):
                    try:
                        answer = await self._aclient.request(step.method, step.path, content=step.body, headers=_JSON)
                    except httpx2.HTTPError as error:
                        answer = error
                else:
                    answer = step()
                    answer = await answer if inspect.isawaitable(answer) else answer
        except StopIteration as end:
            return end.value

    def _check_open(self, client: httpx2.Client | httpx2.AsyncClient) -> None:
        if client.is_closed:
            raise RequestError(f"the client of point {self.point!r} is closed: make a new one")

    def _decide(self, state: GivenState, offered: Sequence[str] | None, episode: str | None) -> Steps:
        try:
            return (yield from self._ask_for(state, offered, episode))
        except NobodyDecidesError as error:
            teacher, actions = self._teacher, error.actions
            if teacher is None:
                raise
        answer: Answer = yield lambda: teacher(make_state(state), actions)
        row = read_answer(answer, actions, str(getattr(teacher, "__name__", type(teacher).__name__)))
        return (yield from self._ask_for(state, offered, episode, actions[most_probable(row)]))

    def _ask_for(
        self, state: GivenState, offered: Sequence[str] | None, episode: str | None, decided: str | None = None
    ) -> Steps:
        check_texts(episode=episode)
        fields: dict[str, Any] = {"point": self.point, "state": make_state(state), "offered": read_offer(offered)}
        fields |= {"episode": episode or None, "decided": decided}
        answer = yield from exchange(make_post("/v1/decisions", fields), again=False)
        names = ("id", "action", "probabilities", "policy", "episode", "propensity", "out_of_distribution")
        return Decided(**{name: answer[name] for name in names})

    def _report(self, decision: Decided | str, fields: Mapping[str, Any]) -> Steps:
        given = id_of(decision)
        yield from exchange(make_post("/v1/outcomes", {"point": self.point, "decision": given, **fields}), again=True)

    def _view(self, path: str) -> Steps:
        """Return the point's part of an answer about all points."""
        points = (yield from exchange(Request("GET", path), again=True))["points"]
        if self.point not in points:
            raise StoreError(f"no decision point {self.point!r} at the server: there are {', '.join(points) or 'none'}")
        return points[self.point]

    def _list_models(self) -> Steps:
        path = f"/v1/points/{quote(self.point, safe='')}/models"
        return (yield from exchange(Request("GET", path), again=True))["data"]


def _feed_back(id: str, fields: Mapping[str, Any]) -> Steps:
    answer = yield from exchange(make_post("/v1/feedback", {"id": id_of(id), **fields}), again=True)
    return [(place["point"], place["decision"]) for place in answer["decisions"]]


def _make_report(
    reward: float | None,
    status: OutcomeStatus,
    parts: Mapping[str, float] | None,
    detail: str,
    result: Mapping[str, Any] | None,
) -> dict[str, Any]:
    given = Report(reward, status, parts, detail, result)
    fields: dict[str, Any] = {"reward": given.reward, "status": given.status, "parts": given.parts}
    return fields | {"detail": given.detail, "result": given.result}


def _check_name(action: object) -> str:
    if not isinstance(action, str):
        raise DataError(f"action={action!r:.80}: give the name of the action taken")
    return action


def _wait_for(answer: Awaitable[Any]) -> Any:
    """Return what an async teacher answers, in a loop of its own: this thread may have one that runs."""

    async def wait() -> Any:
        return await answer

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, wait()).result()
