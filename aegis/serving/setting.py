"""The configuration of a server: its decision points, its gateway, its limits; read from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aegis.config import PHASE_1_DECISIONS
from aegis.door import DeciderConfig
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
    mode: str = DeciderConfig().mode
    """`observe`, `assist` or `switch`"""
    collect: int = PHASE_1_DECISIONS
    """The teacher's decisions after which the first training starts"""
    sure: float = DeciderConfig().sure
    """In the mode assist: the calibrated confidence from which the HRM decides"""

    def __post_init__(self) -> None:
        self.to_decider()
        if self.base_url:
            check_address("base_url", self.base_url)

    def to_decider(self, **changes: Any) -> DeciderConfig:
        """Return the settings of the point's `Decider`."""
        mode: Any = self.mode
        return DeciderConfig(**{"mode": mode, "collect": self.collect, "sure": self.sure} | changes)


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
class ServeConfig:
    """What a server serves, and to whom. Raises `ConfigError` for a point's name that is no folder name."""

    __pydantic_config__ = _STRICT

    points: Mapping[str, PointConfig] = field(default_factory=dict)
    """By name. The workspace's other points are served as recorded, without a teacher"""
    limits: LimitConfig = field(default_factory=LimitConfig)
    allowed_hosts: tuple[str, ...] = ()
    """Names by which the server may be addressed, besides its own address"""
    allowed_origins: tuple[str, ...] = ()
    """Web pages that may send requests, e.g. `https://app.example`; all others are refused"""

    def __post_init__(self) -> None:
        for name in self.points:
            Workspace(Path()).point(name)


def read_config(path: Path) -> ServeConfig:
    """Read a server's configuration; raises `ConfigError` that names the file and the field."""
    from pydantic import TypeAdapter, ValidationError

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {path}: can't be read as TOML ({error})") from error
    try:
        return TypeAdapter(ServeConfig).validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"--config {path}: {where}: {first['msg'].removeprefix('Value error, ')}") from error


def check_address(name: str, url: str) -> None:
    """Raise `ConfigError` for what is no address of a server."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"{name} {url!r}: must be an address such as http://localhost:8000/v1")
