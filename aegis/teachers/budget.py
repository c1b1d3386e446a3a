"""The tokens and money that a teacher behind an endpoint has used, against its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aegis.config import EndpointConfig
from aegis.errors import BudgetError

_CHARACTERS_PER_TOKEN = 3
"""For servers that report no count: rather too many tokens than too few."""

Ledger = Callable[[int, int], tuple[int, int]]
"""Adds tokens read and written to the kept totals, and returns the totals."""


class Budget:
    """Tokens read and written, and their cost, against the limits of an `EndpointConfig`."""

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config
        self.tokens_read = 0
        self.tokens_written = 0
        self._ledger: Ledger | None = None

    @property
    def tokens(self) -> int:
        return self.tokens_read + self.tokens_written

    @property
    def cost(self) -> float:
        """In the currency of the configured prices."""
        config = self._config
        return (self.tokens_read * config.input_price + self.tokens_written * config.output_price) / 1e6

    def keep_in(self, ledger: Ledger) -> None:
        """Count in this ledger too, and start from its totals, so that a restart does not renew the budget."""
        self._ledger = ledger
        self.tokens_read, self.tokens_written = ledger(self.tokens_read, self.tokens_written)

    def flush(self) -> None:
        """Let a ledger that writes later write now."""
        flush = getattr(self._ledger, "flush", None)
        if flush is not None:
            flush()

    def close(self) -> None:
        """Let a ledger write what it has not written yet, and close what it keeps open."""
        self.flush()
        close = getattr(self._ledger, "close", None)
        if close is not None:
            close()

    def check(self) -> None:
        """Raise `BudgetError` if a limit is reached."""
        config = self._config
        if config.max_tokens is not None and self.tokens >= config.max_tokens:
            raise BudgetError(
                f"the budget of {config.max_tokens} tokens is used up ({self.tokens} used):"
                " raise --max-tokens (AEGIS_MAX_TOKENS) to go on"
            )
        if config.max_cost is not None and self.cost >= config.max_cost:
            raise BudgetError(
                f"the budget of {config.max_cost:g} is used up ({self.cost:.4g} for {self.tokens} tokens):"
                " raise --max-cost (AEGIS_MAX_COST) to go on"
            )

    def count(self, usage: Any, read_characters: int, written_characters: int) -> None:
        """Count a request by the answer's `usage`, or by its length if the server reports none."""
        counts = usage if isinstance(usage, dict) else {}
        read = _whole(counts.get("prompt_tokens"), read_characters)
        written = _whole(counts.get("completion_tokens"), written_characters)
        if self._ledger is not None:
            self.tokens_read, self.tokens_written = self._ledger(read, written)
        else:
            self.tokens_read, self.tokens_written = self.tokens_read + read, self.tokens_written + written


def _whole(value: Any, characters: int) -> int:
    plain = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if plain else -(-characters // _CHARACTERS_PER_TOKEN)
