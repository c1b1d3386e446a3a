"""A teacher behind any OpenAI-compatible `chat/completions` endpoint: it asks, and gives each action a probability.

The probabilities come from the log-probabilities of the answer's first tokens, if the server offers them. Otherwise a
JSON Schema, if the server takes it, holds the answer to the list of actions, and the answered action has probability 1.
The first request finds out what a server does not take; later requests leave it out. The key is sent to this address
only, and never shown.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aegis.config import EndpointConfig
from aegis.config.secret import read_secret
from aegis.errors import ConfigError, RequestError, TeacherError
from aegis.http import HttpClient, Manners
from aegis.rendering import clean_text
from aegis.teachers.budget import Budget
from aegis.teachers.completion import answer_format, read_answer, read_logprobs
from aegis.teachers.prompt import render_messages
from aegis.types import ActionList, Choice, State

PREFIX = "openai:"
OPENAI_URL = "https://api.openai.com/v1"
_NAME = re.compile(r"openai:(?P<model>.+?)(?:@(?P<url>https?://\S+))?", re.DOTALL)
_REMEMBERED = 1000
"""Decisions kept, so that the same state is not paid for twice."""
_REASONING_TOKENS = 4096
_ADAPTATIONS = 8
_NO_MORE_MONEY = b"insufficient_quota"


@dataclass(frozen=True, slots=True)
class _Form:
    """The parts of a request beyond the prompt; each server takes some of them."""

    top_logprobs: int = 20
    schema: bool = True
    """Hold the answer to the list by a JSON Schema, for servers without log-probabilities."""
    temperature: bool = True
    limit_field: str = "max_tokens"
    limit: int = 32

    def document(self, model: str, messages: list[dict[str, str]], actions: ActionList) -> dict[str, Any]:
        document: dict[str, Any] = {"model": model, "messages": messages, self.limit_field: self.limit}
        if self.temperature:
            document["temperature"] = 0
        if self.top_logprobs:
            document |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        elif self.schema:
            document["response_format"] = answer_format(actions)
        return document

    def without_what_was_refused(self, said: str) -> _Form | None:
        """Return a form that the server may take after this reply to the last form; None if nothing is left."""
        if self.limit_field == "max_tokens" and "max_completion_tokens" in said:
            return replace(self, limit_field="max_completion_tokens")
        if self.temperature and "temperature" in said:
            return replace(self, temperature=False)
        if self.top_logprobs > 5 and "logprobs" in said:
            return replace(self, top_logprobs=5)
        if self.top_logprobs:
            return replace(self, top_logprobs=0)
        return replace(self, schema=False) if self.schema else None


class OpenAITeacher:
    """A model behind an endpoint; each state costs a request, unless the model decided it lately.

    `on_trouble` gets a line about each failed attempt. Any thread may ask. Raises `ConfigError` for an invalid address.
    """

    parameters = 0  # no endpoint tells its model's count

    def __init__(
        self,
        model: str,
        base_url: str = OPENAI_URL,
        api_key: str | None = None,
        config: EndpointConfig | None = None,
        on_trouble: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.config = config or EndpointConfig()
        self.budget = Budget(self.config)
        self._model = model
        self._base_url = _checked_url(base_url)
        self._key = api_key or ""
        self._on_trouble = on_trouble
        self._form = _Form()
        self._answers: OrderedDict[tuple[ActionList, str], tuple[float, ...]] = OrderedDict()
        rate = self.config.requests_per_minute
        manners = Manners(
            timeout_seconds=self.config.timeout_seconds,
            attempts=self.config.attempts,
            first_pause_seconds=1.0,
            longest_pause_seconds=60.0,
            deadline_seconds=self.config.deadline_seconds,
            interval_seconds=60.0 / rate if rate else 0.0,
        )
        self._client = HttpClient(
            manners,
            {"Authorization": f"Bearer {self._key}"} if self._key else {},
            on_retry=lambda line: on_trouble(self._safe(f"Teacher {self.name}: {line}")),
            is_final=lambda status, body: _NO_MORE_MONEY in body,
        )

    @property
    def name(self) -> str:
        return clean_text(self._model, 100)

    @property
    def address(self) -> str:
        """The address in a few words, and whether a key is used."""
        return f"{self._base_url} ({'with' if self._key else 'without'} a key)"

    @property
    def source(self) -> str:
        """The name by which `load_teacher` loads the same model at the same address."""
        return f"{PREFIX}{self._model}@{self._base_url}"

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return a choice per state; raises `TeacherError` if the endpoint fails or the budget is used up."""
        rows = [self._probabilities(state, actions) for state in states]
        return [Choice.best(row, actions, self.name, "teacher") for row in rows]

    def with_limits(self, config: EndpointConfig) -> OpenAITeacher:
        """Return the same teacher under other limits."""
        return OpenAITeacher(self._model, self._base_url, self._key, config, self._on_trouble)

    def close(self) -> None:
        """Close the connection, and the budget's ledger."""
        self._client.close()
        self.budget.close()

    def _probabilities(self, state: State, actions: ActionList) -> tuple[float, ...]:
        messages = render_messages(state, actions)
        key = (actions, messages[-1]["content"])
        known = self._answers.get(key)
        if known is None:
            known = self._answers[key] = self._ask(messages, actions)
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return known

    def _ask(self, messages: list[dict[str, str]], actions: ActionList) -> tuple[float, ...]:
        form, said, this_once = self._form, "", False
        for _ in range(_ADAPTATIONS):
            try:
                choice = self._request(form, messages, actions)
            except _RefusedError as refusal:
                simpler = form.without_what_was_refused(str(refusal).casefold())
                if simpler is None:
                    raise TeacherError(f"teacher {self.name} at {self._base_url}: {refusal}") from None
                form = simpler
                continue
            if not this_once:
                self._form = form
            message = choice.get("message")
            text = message.get("content") if isinstance(message, dict) else None
            said = text if isinstance(text, str) else ""
            logprobs = choice.get("logprobs")
            places = logprobs.get("content") if isinstance(logprobs, dict) else None
            if form.top_logprobs and places:
                by_tokens = read_logprobs(places, actions)
                if by_tokens is not None:
                    return by_tokens
                form, this_once = replace(form, top_logprobs=0), True  # the tokens named no action
            elif form.top_logprobs:
                form = replace(form, top_logprobs=0)
            elif (answer := read_answer(said, actions)) is not None:
                return answer
            elif choice.get("finish_reason") == "length" and form.limit < _REASONING_TOKENS:
                form = replace(form, limit=_REASONING_TOKENS)  # a model that thinks aloud first
            else:
                break
        words = ", ".join(spec.words for spec in actions)
        raise TeacherError(
            self._safe(
                f"teacher {self.name}: it answered {clean_text(said, 80)!r}, not one of {words}: use another model"
            )
        )

    def _request(self, form: _Form, messages: list[dict[str, str]], actions: ActionList) -> Mapping[str, Any]:
        """Return the first choice of the answer to one request; raises `_RefusedError` when its form is refused."""
        self.budget.check()
        document = form.document(self._model, messages, actions)
        try:
            answer = self._client.request("POST", f"{self._base_url}/chat/completions", document=document).json()
        except RequestError as error:
            raise self._explained(error) from None  # the error itself may repeat the key
        choices = answer.get("choices") if isinstance(answer, dict) else None
        first = choices[0] if isinstance(choices, list) and choices else None
        read = sum(len(message["content"]) for message in messages)
        self.budget.count(answer.get("usage") if isinstance(answer, dict) else None, read, len(str(first)))
        if not isinstance(first, dict):
            raise TeacherError(f"teacher {self.name} at {self._base_url}: its answer has no choices: is it compatible?")
        return first

    def _explained(self, error: RequestError) -> Exception:
        # OpenAI forbids (403) log-probabilities of some models instead of calling them a bad request.
        if error.status in (400, 422, 501) or (error.status == 403 and b"logprobs" in error.body):
            return _RefusedError(self._safe(f"{error} {error.body[:4000].decode('utf-8', 'replace')}"))
        if error.status in (401, 403):
            advice = "the key was refused: set OPENAI_API_KEY" if self._key else "it wants a key: set OPENAI_API_KEY"
        elif error.status == 404:
            advice = f"no such model or address: check --teacher {PREFIX}MODEL and --base-url (it mostly ends with /v1)"
        elif error.status == 429 and _NO_MORE_MONEY in error.body:
            advice = "the account's quota is used up: top it up, or use another --teacher"
        elif error.status == 429:
            advice = "it limits the rate: set --requests-per-minute, or go on later"
        else:
            advice = "check --base-url and that the server runs; what is recorded is kept"
        return TeacherError(self._safe(f"teacher {self.name} at {self._base_url}: {advice} ({error})"))

    def _safe(self, text: str) -> str:
        """Return the text as one bounded line without the key, which some servers repeat in their errors."""
        return clean_text(text.replace(self._key, "[key]") if self._key else text, 600)


class _RefusedError(Exception):
    """The server does not take a request of this form."""


def load_openai(
    name: str, config: EndpointConfig | None = None, on_trouble: Callable[[str], None] = lambda line: None
) -> OpenAITeacher:
    """Return the teacher named `openai:MODEL` or `openai:MODEL@URL`, without a request.

    The default address is AEGIS_BASE_URL, OPENAI_BASE_URL, or OpenAI's own, in this order; the key is OPENAI_API_KEY,
    or stands in the file that OPENAI_API_KEY_FILE names.
    Raises `TeacherError` for an invalid name or address, or if OpenAI's own endpoint would be asked without a key.
    """
    model, url = split_name(name)
    url = url or os.environ.get("AEGIS_BASE_URL") or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    try:
        key = read_secret("OPENAI_API_KEY")
    except ConfigError as error:
        raise TeacherError(f"teacher {name}: {error}") from None
    if not key and urlsplit(url).hostname == urlsplit(OPENAI_URL).hostname:
        raise TeacherError(f"teacher {name}: set OPENAI_API_KEY, or give your own server's --base-url")
    try:
        return OpenAITeacher(model, url, key, config or config_of_environment(), on_trouble)
    except ConfigError as error:
        raise TeacherError(f"teacher {name}: {error}") from error


def at_address(name: str, base_url: str) -> str:
    """Return the name of the same model at this address; raises `TeacherError` for a teacher behind no endpoint."""
    if not name.startswith(PREFIX):
        raise TeacherError(f"--base-url {clean_text(base_url)} goes with --teacher {PREFIX}MODEL, not with {name}")
    try:
        return f"{PREFIX}{split_name(name)[0]}@{_checked_url(base_url)}"
    except ConfigError as error:
        raise TeacherError(str(error)) from error


def split_name(name: str) -> tuple[str, str | None]:
    """Return the model and the address in a teacher's name; the address is None if the name has none."""
    parts = _NAME.fullmatch(name)
    if parts is None or not clean_text(parts["model"]):
        raise TeacherError(f"teacher {name!r}: name the model, as in {PREFIX}gpt-4o-mini")
    return parts["model"].strip(), parts["url"]


def config_of_environment() -> EndpointConfig:
    """Return the limits that AEGIS_REQUESTS_PER_MINUTE, AEGIS_MAX_TOKENS, AEGIS_MAX_COST and AEGIS_PRICES set.

    Raises `ConfigError` for an invalid value.
    """
    values: dict[str, Any] = {}
    for field, variable, kind in (
        ("requests_per_minute", "AEGIS_REQUESTS_PER_MINUTE", float),
        ("max_tokens", "AEGIS_MAX_TOKENS", int),
        ("max_cost", "AEGIS_MAX_COST", float),
    ):
        if text := os.environ.get(variable, "").strip():
            try:
                values[field] = kind(text)
            except ValueError:
                raise ConfigError(f"{variable}={text!r} is not a number") from None
    return EndpointConfig(**values | parse_prices(os.environ.get("AEGIS_PRICES", "")))


def parse_prices(text: str) -> dict[str, float]:
    """Return an `EndpointConfig`'s price fields from `IN,OUT`, the prices of a million tokens; none for ''."""
    if not text.strip():
        return {}
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--prices {text!r}: give two numbers, IN,OUT, the prices of a million tokens") from None
    return {"input_price": read, "output_price": written}


def _checked_url(url: str) -> str:
    """Return the address without a trailing slash; a password in it, which would be recorded, is refused."""
    parts = urlsplit(url.strip().rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--base-url {clean_text(url)!r}: give an address such as http://localhost:8000/v1")
    if parts.username or parts.password:
        raise ConfigError("--base-url holds a name or a password, which would be recorded: use OPENAI_API_KEY")
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
