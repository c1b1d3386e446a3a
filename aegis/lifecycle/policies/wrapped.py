"""What every policy around another one has in common: it goes by the other one's name."""

from __future__ import annotations

from aegis.types import Policy


class WrappedPolicy:
    """Holds another policy, and has its name, its number of parameters and its backend. A subclass decides."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def parameters(self) -> int:
        return self.policy.parameters

    @property
    def backend(self) -> str:
        return str(getattr(self.policy, "backend", ""))
