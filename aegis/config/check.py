"""How a setting out of bounds is refused."""

from __future__ import annotations

from aegis.errors import ConfigError


def check(condition: bool, message: str) -> None:
    """Raise `ConfigError` with this message unless the condition holds."""
    if not condition:
        raise ConfigError(message)
