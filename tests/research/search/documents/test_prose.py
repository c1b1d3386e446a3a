"""Markup becomes readable passages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.research.search.documents.prose import (
    MAX_PASSAGE_CHARACTERS,
    clean_inline,
    is_worth_keeping,
    split_passages,
    split_sections,
)

SENTENCE = "The quick gardener waters every stone before noon."


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("[![build](https://a.b/c.svg)](https://a.b/ci)Fast", " Fast"),
        ("see [the docs](https://a.b/c) first", "see the docs first"),
        ("use :class:`~asyncio.Queue` here", "use `asyncio.Queue` here"),
        ("use :ref:`queues <queue-label>` here", "use `queues` here"),
        ("use ``put()`` and **never** wait", "use `put()` and never wait"),
        ("`Home page <https://a.b>`_ of it", "Home page of it"),
        ("if *maxsize* is None", "if maxsize is None"),
        ("call f(*args, **kwargs) and a * b * c", "call f(*args, **kwargs) and a * b * c"),
        ("<b>bold</b> but <placeholder> stays", " bold  but <placeholder> stays"),
    ],
)
def test_inline_markup_goes_and_its_words_stay(marked: str, plain: str) -> None:
    assert " ".join(clean_inline(marked).split()) == " ".join(plain.split())


def test_code_tables_and_directives_are_left_out_with_the_words_that_lead_to_them() -> None:
    text = (
        f"{SENTENCE}\n\nFor example:\n\n    >>> water(3)\n    7\n\n.. image:: stone.png\n   :alt: a stone\n\n"
        "| a | b |\n|---|---|\n\nA loop is so::\n\n    for stone in garden:\n        water(stone)\n\nIt ends here."
    )
    assert split_passages(text, 5) == [f"{SENTENCE} It ends here."]


def test_notes_and_changes_of_a_version_are_kept_as_sentences() -> None:
    text = f"{SENTENCE}\n\n.. note:: Stones are slow.\n\n.. versionchanged:: 3.2\n   They are slower still."
    assert split_passages(text, 1) == [f"{SENTENCE} Stones are slow. Changed in version 3.2: They are slower still."]


def test_markdown_and_underlined_headings_both_open_sections() -> None:
    text = "before\n\n# One\na\n\n```sh\n# no heading\n```\n\nTwo *words*\n-----------\nb\n"
    assert [heading for heading, _ in split_sections(text)] == ["", "One", "Two words"]
    assert "no heading" not in split_sections(text)[1][1]


def test_long_text_is_cut_at_the_ends_of_sentences() -> None:
    passages = split_passages(" ".join([SENTENCE] * 40), 3)
    assert len(passages) == 3
    assert all(p.startswith("The quick") and p.endswith("noon.") for p in passages)
    assert all(500 < len(p) <= MAX_PASSAGE_CHARACTERS for p in passages)


@pytest.mark.parametrize(
    "text",
    [
        "Too short.",
        "Permission is hereby granted, free of charge, to any person obtaining a copy of this software.",
        "Copyright (c) 2020 by the gardeners of the stone garden, who keep everything for themselves.",
        "+---+ == 12.5 | 0x00 -> 0xFF ; {a: 1, b: 2, c: 3} // [] && !! ## 4.4 5.5 6.6 7.7 8.8 9.9",
    ],
)
def test_licences_symbols_and_scraps_are_not_worth_keeping(text: str) -> None:
    assert not is_worth_keeping(text)
    assert is_worth_keeping(f"{SENTENCE} {SENTENCE}")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=2_000), st.integers(min_value=1, max_value=4))
def test_any_text_gives_bounded_passages_on_one_line(text: str, count: int) -> None:
    passages = split_passages(text, count, first_budget=200)
    assert len(passages) <= count
    assert all(0 < len(p) <= (MAX_PASSAGE_CHARACTERS if n else 200) for n, p in enumerate(passages))
    assert all(" ".join(p.split()) == p for p in passages)


@given(
    st.lists(
        st.sampled_from(["# h", "===", "---", "* a:", "::", ">>> x", ".. note::", "    i", "w w.", "", "|a|", "```"])
    )
)
def test_markup_in_any_order_raises_nothing(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert "".join(body for _, body in split_sections(text)).count("w w.") <= text.count("w w.")
    assert all(len(p) <= MAX_PASSAGE_CHARACTERS for p in split_passages(text, 9))
