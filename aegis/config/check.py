"""The check that refuses a setting out of its bounds."""

from __future__ import annotations

from aegis.errors import ConfigError


def check(condition: bool, message: str) -> None:
    """Raise `ConfigError` with this message unless the condition holds."""
    if not condition:
        raise ConfigError(message)
