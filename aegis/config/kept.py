"""An action that phase 4 may not unlearn, as an owner writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aegis.errors import ConfigError

KEPT = "ask_human where human=here"
"""What the research agent's phase 4 may not unlearn unless the owner says so: rewards alone unlearn asking."""


@dataclass(frozen=True, slots=True)
class KeptAction:
    """An action that phase 4 may not unlearn, in all states or in those with one value of a field."""

    action: str
    """Its name"""
    field: str = ""
    """A field of the state, with dots into inner objects; '' for all states"""
    value: str = ""
    """Its value, as text or as JSON"""

    @classmethod
    def parse(cls, text: str) -> KeptAction:
        """Read `ACTION` or `ACTION where FIELD=VALUE`; raises `ConfigError` for what is neither."""
        action, where, condition = text.strip().partition(" where ")
        field, equals, value = (part.strip() for part in condition.partition("="))
        if not action.strip() or " " in action.strip() or (where and not (field and equals)):
            raise ConfigError(f"--keep {text!r} is out of form: write ACTION, or ACTION where FIELD=VALUE")
        return cls(action.strip(), field, value)

    def __str__(self) -> str:
        return f"{self.action} where {self.field}={self.value}" if self.field else self.action

    def holds_in(self, state: Mapping[str, Any]) -> bool:
        """Return whether the action is kept in this state."""
        if not self.field:
            return True
        found: Any = state
        for step in self.field.split("."):
            if not isinstance(found, Mapping) or step not in found:
                return False
            found = found[step]
        return found == self.value or json.dumps(found) == self.value
