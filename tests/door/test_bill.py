"""What calls took and would have taken: counted apart from estimated, in dollars by the owner's prices."""

from __future__ import annotations

from typing import Any

import pytest

from aegis.door.bill import Price, Took, read_bill, read_prices
from aegis.errors import ConfigError
from aegis.lifecycle import open_store
from aegis.store.calls import Call, CallBook
from aegis.types import Action, Decision
from aegis.workspace import Workspace

PRICES = {"gpt-*": Price(2.0, 8.0)}


def near(value) -> Any:
    return pytest.approx(value)


@pytest.fixture
def store(tmp_path):
    with open_store(Workspace(tmp_path)) as store:
        yield store


@pytest.fixture
def add(store):
    """Return what records a decision with its call."""
    numbers = iter(range(100))

    def add(policy, model, seconds, read=None, written=None):
        number = next(numbers)
        store.append(Decision("e", number, {"n": number}, ("a", "b"), Action("a"), (1.0, 0.0), policy, f"d{number}"))
        CallBook(store.database).append(f"d{number}", Call(f"r{number}", model, seconds, read, written))

    return add


def test_what_the_hrm_answered_is_estimated_at_the_mean_of_what_the_model_took(store, add):
    add("gpt", "gpt-5-2026", 2.0, 900, 100)
    add("gpt", "gpt-5-2026", 4.0, 1100, 300)
    add("hrm@1", "gpt-5-2026", 1.0, 500, 20)  # its tool was forced: measured, and no measure of a free call
    for _ in range(3):
        add("hrm@1", None, 0.01)
    bill = read_bill(store, PRICES)
    assert bill.measured.upstream == Took(3, 3, 2500, 420, near((2500 * 2 + 420 * 8) / 1e6), 7.0)
    assert (bill.measured.forced, bill.measured.answered) == (1, 3)
    assert bill.measured.answered_seconds == pytest.approx(0.03)
    assert bill.estimated == Took(3, 3, 3000, 600, near((3000 * 2 + 600 * 8) / 1e6), 9.0)
    assert bill.to_record().keys() == {"measured", "estimated"}


def test_calls_that_do_not_tell_their_tokens_are_in_no_sum(store, add):
    add("gpt", "gpt-5", 2.0)
    add("hrm@1", None, 0.01)
    bill = read_bill(store, PRICES)
    assert (bill.measured.upstream.calls, bill.measured.upstream.counted, bill.measured.upstream.dollars) == (
        1,
        0,
        None,
    )
    assert bill.estimated is None
    add("gpt", "gpt-5", 1.0, 10, 1)
    assert read_bill(store, PRICES).estimated == Took(1, 1, 10, 1, near(28e-6), 1.5)


def test_a_model_without_a_price_leaves_no_dollars(store, add):
    add("gpt", "gpt-5", 2.0, 10, 1)
    add("gpt", "llama", 2.0, 10, 1)
    add("hrm@1", None, 0.01)
    assert read_bill(store, PRICES).measured.upstream.dollars is None
    assert read_bill(store, PRICES).estimated.dollars is None
    assert read_bill(store, {"*": Price(1.0, 0)}).measured.upstream.dollars == pytest.approx(20e-6)


def test_a_point_without_calls_has_an_empty_bill(store):
    bill = read_bill(store, {})
    assert (bill.measured.upstream, bill.estimated) == (Took(0, 0, 0, 0, None, 0), None)


def test_prices_are_the_owners_file(tmp_path):
    assert read_prices(tmp_path) == {}
    path = tmp_path / "prices.toml"
    path.write_text('["gpt-*"]\nread = 2\nwritten = 8.0\n', "utf-8")
    assert read_prices(tmp_path) == PRICES
    for text in (
        "gpt = 3",
        '["gpt"]\nread = 1',
        '["gpt"]\nread = -1\nwritten = 2',
        '["gpt"]\nread = "a"\nwritten = 2',
        "[",
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=r"prices\.toml"):
            read_prices(tmp_path)
