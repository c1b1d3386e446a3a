"""The configuration of a server: its decision points, its gateway, its limits; read from a TOML file."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aegis.bounds import read_text
from aegis.config import PHASE_1_DECISIONS, HRMConfig, TrainingConfig
from aegis.config.secret import has_secret, read_secret
from aegis.door import DeciderConfig
from aegis.door.setting import MODES
from aegis.errors import ConfigError
from aegis.workspace import Workspace

_STRICT: Any = {"extra": "forbid"}  # pydantic: a field that no dataclass has is an error


@dataclass(frozen=True, slots=True)
class PointConfig:
    """One decision point. Raises `ConfigError` for values out of range."""

    __pydantic_config__ = _STRICT

    actions: tuple[str, ...] | dict[str, str] = ()
    """Names, or names with descriptions; empty: those that the workspace records"""
    teacher: str = ""
    """As for `--teacher`, e.g. `openai:MODEL`; empty: clients decide and send what they decided"""
    base_url: str = ""
    """The address of a teacher `openai:MODEL`"""
    mode: str = ""
    """`observe`, `assist` or `switch`; empty: `switch`, and at the gateway what `GatewayConfig.mode` says"""
    prompt: str = ""
    """A system prompt by which the gateway knows requests that are choices: the answer is one of the actions"""
    collect: int = PHASE_1_DECISIONS
    """The teacher's decisions after which the first training starts"""
    agreement: float = DeciderConfig().agreement
    """As `DeciderConfig.agreement`"""
    sure: float | None = None
    """As `DeciderConfig.sure`"""
    student: str = TrainingConfig().student
    """As `TrainingConfig.student`"""
    max_tokens: int = TrainingConfig().max_tokens
    """As `TrainingConfig.max_tokens`"""
    exclude: tuple[str, ...] = ()
    """As `TrainingConfig.exclude`"""
    explore: float = 0.0
    """As `DeciderConfig.explore`"""
    never_explored: tuple[str, ...] = ()
    """As `DeciderConfig.never_explored`"""
    retired: tuple[str, ...] | None = None
    """As `DeciderConfig.retired`"""
    renamed: dict[str, str] | None = None
    """As `DeciderConfig.renamed`"""

    def __post_init__(self) -> None:
        self.to_decider()
        HRMConfig().check_tokens(self.max_tokens)
        if self.prompt and not self.actions:
            raise ConfigError("prompt: needs actions: the answers that the model may give")
        if self.base_url:
            check_address("base_url", self.base_url)

    def to_decider(self, mode: str = DeciderConfig().mode) -> DeciderConfig:
        """Return the settings of the point's `Decider`. mode: where none is set here."""
        chosen: Any = self.mode or mode
        same = ("collect", "agreement", "sure", "explore", "never_explored", "retired", "renamed")
        given = {name: getattr(self, name) for name in same}
        training = TrainingConfig(student=self.student, max_tokens=self.max_tokens, exclude=self.exclude)
        return DeciderConfig(mode=chosen, training=training, **given)


@dataclass(frozen=True, slots=True)
class LimitConfig:
    """What a server takes on. Raises `ConfigError` for values that are not above 0."""

    __pydantic_config__ = _STRICT

    max_body_bytes: int = 1_000_000
    """Of a request; a longer one is refused with 413"""
    body_seconds: float = 30.0
    """Time in which a request's body must arrive; else 408"""
    decision_seconds: float = 60.0
    """Time in which a decision must be made; else 504"""
    requests_per_second: float = 200.0
    """Of one token, or of one address where no tokens are used; beyond, 429"""
    max_waiting: int = 64
    """Decisions and reports in progress; beyond, 503 with Retry-After"""
    shutdown_seconds: float = 10.0
    """Time that running requests have to end when the server stops"""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ConfigError(f"limits.{name} must be above 0, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """A service that the gateway passes requests to. Raises `ConfigError` for what is no address."""

    __pydantic_config__ = _STRICT

    url: str
    """As a client's `base_url`, e.g. `https://api.openai.com/v1`"""
    models: tuple[str, ...] = ()
    """Names, or patterns such as `gpt-*`, of the models that it has; the last upstream takes all others, too"""
    key_variable: str = ""
    """Environment variable with its key (with `_FILE` behind the name: the path of a file with it); then a client sends
    a token of AEGIS's instead. Empty: the client's own key"""

    @property
    def address(self) -> str:
        """The url without a name and a password, which nobody is to see."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def __post_init__(self) -> None:
        check_address("url", self.url)
        if self.key_variable and not has_secret(self.key_variable):
            raise ConfigError(
                f"key_variable {self.key_variable}: is not set: put the key into this variable, or into a file that"
                f" {self.key_variable}_FILE names"
            )
        if self.key_variable:
            read_secret(self.key_variable)


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Where requests to language models go. Raises `ConfigError` for no upstream and values that are not above 0."""

    __pydantic_config__ = _STRICT

    upstreams: tuple[UpstreamConfig, ...] = ()
    mode: str = "observe"
    """At points that have no mode of their own. `observe`: no answer is changed. `assist`: what the HRM is sure of, it
    answers"""
    assist_seconds: float = 0.5
    """Time in which the HRM must decide; else the upstream does"""
    requests_per_second: float = 1000.0
    """Of one address; beyond, 429"""
    max_in_progress: int = 1000
    """Requests that wait for the upstream at once; beyond, 503 with Retry-After"""
    max_body_bytes: int = 50_000_000
    """Of a request, images in it too"""
    max_recorded_bytes: int = 4_000_000
    """Of an answer that is recorded; a longer one passes and is not"""
    connect_seconds: float = 10.0
    """Time to reach the upstream; else 504"""
    answer_seconds: float = 600.0
    """Time in which the upstream must send its next byte; else 504, or the stream breaks off"""
    idle_seconds: float = 15.0
    """Time for which a connection to the upstream is kept"""
    close_seconds: float = 10.0
    """Time in which what waits is recorded when the server stops"""

    def __post_init__(self) -> None:
        if not self.upstreams:
            raise ConfigError(
                'upstreams: name one, as a table [[gateway.upstreams]] with url = "https://api.openai.com/v1",'
                " or by --upstream URL"
            )
        if self.mode not in MODES:
            raise ConfigError(f"gateway.mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        for name in self.__slots__:
            if name not in ("upstreams", "mode") and not getattr(self, name) > 0:
                raise ConfigError(f"gateway.{name} must be above 0, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """What a server serves, and to whom. Raises `ConfigError` for a point's name that is no folder name."""

    __pydantic_config__ = _STRICT

    points: Mapping[str, PointConfig] = field(default_factory=dict)
    """By name. The workspace's other points are served as recorded, without a teacher"""
    gateway: GatewayConfig | None = None
    """None: requests to language models are not passed on"""
    limits: LimitConfig = field(default_factory=LimitConfig)
    allowed_hosts: tuple[str, ...] = ()
    """Names by which the server may be addressed, besides its own address"""
    allowed_origins: tuple[str, ...] = ()
    """Web pages that may send requests, e.g. `https://app.example`; all others are refused"""

    def __post_init__(self) -> None:
        for name in self.points:
            Workspace(Path()).point(name)

    def with_upstream(self, url: str) -> ServeConfig:
        """Return this with a gateway to one upstream; raises `ConfigError` where it has one already."""
        if self.gateway is not None:
            raise ConfigError("--upstream: the file of --config names upstreams already: give one of the two")
        return replace(self, gateway=GatewayConfig((UpstreamConfig(url),)))


def read_config(path: Path, upstream: str | None = None) -> ServeConfig:
    """Read a server's configuration; raises `ConfigError` that names the file and the field.

    upstream: of the gateway, where the file names none.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        document = tomllib.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {path}: can't be read as TOML ({error})") from error
    gateway = document.get("gateway", {})
    if upstream is not None and isinstance(gateway, dict) and not gateway.get("upstreams"):
        check_address("--upstream", upstream)
        document["gateway"] = {**gateway, "upstreams": [{"url": upstream}]}
        upstream = None
    try:
        config: ServeConfig = TypeAdapter(ServeConfig).validate_python(document)
        return config if upstream is None else config.with_upstream(upstream)
    except ValidationError as error:
        unknown = "unexpected_keyword_argument"
        first, *_ = sorted(error.errors(include_url=False), key=lambda one: one["type"] != unknown)
        where = ".".join(str(part) for part in first["loc"])
        said = _name_keys(first["msg"].removeprefix("Value error, "))
        if first["type"] == unknown:
            said = _explain_key(first["loc"])
        raise ConfigError(f"--config {path}: {where}: {said}") from error


def _name_keys(said: str) -> str:
    """Return a message with keys in place of options: the commands share these checks."""
    return re.sub(r"--([a-z][a-z-]*)", lambda one: one[1].replace("-", "_"), re.sub(r" \(--[a-z-]+\)", "", said))


def check_points(config: ServeConfig, recorded: Sequence[str]) -> list[str]:
    """Return a line for each configured point that is not recorded yet; raises `ConfigError` for a mistyped name.

    recorded: the names of the workspace's points. Only what has no actions is taken for mistyped: it begins at the
    gateway, or not at all.
    """
    lines = []
    for name, point in config.points.items():
        if name in recorded:
            continue
        near = difflib.get_close_matches(name, [one for one in recorded if one not in config.points], 1)
        mean = f"did you mean {near[0]}? " if near else ""
        if not point.actions and (near or config.gateway is None):
            there = f"recorded are {', '.join(recorded) or 'none'}"
            raise ConfigError(f"points.{name}: no such point: {mean}{there}; a new one needs actions = [...]")
        began = "begins with its first request" if config.gateway is not None else "is new"
        lines.append(f"Point {name} {began}{mean and f' ({mean.strip()})'}")
    return lines


def _explain_key(place: tuple[int | str, ...]) -> str:
    """Return what to do about a key that its table does not know."""
    tables = {"points": PointConfig, "gateway": GatewayConfig, "limits": LimitConfig}
    table: Any = tables.get(str(place[0]), ServeConfig) if len(place) > 1 else ServeConfig
    if place[:2] == ("gateway", "upstreams"):
        table = UpstreamConfig
    known = [one.name for one in fields(table)]
    near = difflib.get_close_matches(str(place[-1]), known, 1)
    return f"unknown key: {f'did you mean {near[0]}? ' if near else ''}there are {', '.join(known)}"


def check_address(name: str, url: str) -> None:
    """Raise `ConfigError` for what is no address of a server."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ConfigError(f"{name} {url!r}: must be an address such as http://localhost:8000/v1")
