"""What calls of language models took, and what those would have taken that an HRM answered: counted, then estimated.

`Bill.measured` was counted. `Bill.estimated` is computed from it: the HRM's answers at the mean of the upstream's at
the same decision point. The two are never added up. Dollars come from the owner's table of prices.
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aegis.bounds import read_text
from aegis.errors import ConfigError
from aegis.store import DecisionStore
from aegis.store.calls import CallBook, CallSum

PRICES_FILE = "prices.toml"
"""In the workspace's folder"""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens. Raises `ConfigError` for what is no price."""

    read: float
    written: float

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise ConfigError(f"{name} = {value!r}: give dollars for a million tokens, a number from 0 on")


@dataclass(frozen=True, slots=True)
class Took:
    """What calls of a language model took."""

    calls: float
    counted: float
    """Calls whose tokens are known; the others' are in no sum"""
    read: float
    """Tokens"""
    written: float
    dollars: float | None
    """Of the counted calls; None where a model has no price"""
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What was counted."""

    upstream: Took
    """Calls of the language model, those with a forced tool included"""
    forced: float
    """Of those, calls in which the HRM had chosen the tool"""
    answered: float
    """Calls that an HRM answered alone"""
    answered_seconds: float
    """What those took"""


@dataclass(frozen=True, slots=True)
class Bill:
    """The calls of one decision point."""

    measured: Measured
    estimated: Took | None
    """What the calls that an HRM answered would have taken; None where no call of the model was counted"""

    def to_record(self) -> dict[str, Any]:
        """Return it as JSON; every number stands under `measured` or `estimated`."""
        return asdict(self)


def read_prices(workspace: Path) -> dict[str, Price]:
    """Return the prices that a workspace's owner wrote, by pattern of model names; none where there is no file.

    Raises `ConfigError` that names the file and the model.
    """
    path = workspace / PRICES_FILE
    try:
        document = tomllib.loads(read_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: can't be read as TOML ({error})") from error
    prices = {}
    for model, fields in document.items():
        if not isinstance(fields, Mapping) or fields.keys() != {"read", "written"}:
            raise ConfigError(f'{path}: {model}: write ["{model}"], then read = ... and written = ...')
        try:
            prices[model] = Price(**fields)
        except ConfigError as error:
            raise ConfigError(f"{path}: {model}: {error}") from error
    return prices


def read_bill(store: DecisionStore, prices: Mapping[str, Price]) -> Bill:
    """Return what the calls of a decision point took. prices: by pattern of model names; the first that fits counts."""
    sums = CallBook(store.database).sums()
    asked = [one for one in sums if one.model is not None]
    alone = [one for one in sums if one.model is None]
    measured = Measured(
        upstream=_add(asked, prices),
        forced=sum(one.calls for one in asked if one.by_hrm),
        answered=sum(one.calls for one in alone),
        answered_seconds=sum(one.seconds for one in alone),
    )
    return Bill(measured, _estimate(measured.answered, _add([one for one in asked if not one.by_hrm], prices)))


def _add(sums: Iterable[CallSum], prices: Mapping[str, Price]) -> Took:
    sums = list(sums)
    costs = [_cost(one, prices) for one in sums if one.counted]
    known = [cost for cost in costs if cost is not None]
    return Took(
        **{
            name: sum(getattr(one, name) for one in sums) for name in ("calls", "counted", "read", "written", "seconds")
        },
        dollars=sum(known) if known and len(known) == len(costs) else None,
    )


def _cost(one: CallSum, prices: Mapping[str, Price]) -> float | None:
    for pattern, price in prices.items():
        if fnmatch.fnmatchcase(one.model or "", pattern):
            return (one.read * price.read + one.written * price.written) / _MILLION
    return None


def _estimate(calls: float, like: Took) -> Took | None:
    """Return what so many calls would have taken at the mean of others."""
    if not calls or not like.counted:
        return None
    each = calls / like.counted
    dollars = None if like.dollars is None else like.dollars * each
    seconds = like.seconds * calls / like.calls
    return Took(calls, calls, like.read * each, like.written * each, dollars, seconds)
