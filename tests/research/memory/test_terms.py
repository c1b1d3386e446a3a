"""New terms: what in a passage is worth a question. The passages are Python's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.research.memory.terms import MAX_TERMS, new_terms
from aegis.research.search.documents.corpus import compiled_passages, language_passages

BREAKPOINT = (
    "breakpoint(*args, **kws): Call sys.breakpointhook(*args, **kws). sys.breakpointhook() must accept whatever "
    "arguments are passed. By default, this drops you into the pdb debugger."
)
TRUTH = (
    "Any object can be tested for truth value, for use in an `if` or `while` condition. An object is considered true "
    "unless its class defines either a `__bool__()` method that returns `False` or a `__len__()` method. Zero of any "
    "numeric type: `0`, `0.0`, `0j`, `Decimal(0)`, `Fraction(0, 1)`."
)
READ = (
    "read(n): Read exactly `n` bytes. Raise an `IncompleteReadError` if EOF is reached before `n` can be read. The "
    "IncompleteReadError.partial attribute of the exception will contain the partial read bytes. See RFC 7231, "
    "PEP 3156 and https://docs.python.org/3/library/asyncio.html for UTF-8, O_NONBLOCK and TLS. self.loop is NOT None."
)


@pytest.mark.parametrize(
    ("text", "title", "terms"),
    [
        (BREAKPOINT, "breakpoint", ["sys.breakpointhook"]),
        (TRUTH, "Truth Value Testing", ["while", "__bool__", "__len__", "Decimal", "Fraction"]),
        (
            READ,
            "asyncio.StreamReader.read",
            [
                "IncompleteReadError",
                "IncompleteReadError.partial",
                "RFC 7231",
                "PEP 3156",
                "UTF-8",
                "O_NONBLOCK",
                "TLS",
            ],
        ),
        ("Use `masked_values` instead of `max_size`, which is an argument.", "numpy.ma", ["masked_values"]),
        (
            "Several URLs and APIs of the HTTPServer, e.g. setup.py or www.python.org.",
            "x",
            ["URL", "API", "HTTPServer"],
        ),
        ("Put it into an asyncio.Queue; a Queue is kept, and the asyncio.Queue() too.", "x", ["asyncio.Queue"]),
        ("run(loop, size): Start `loop` with `size`, then loop.close() it as `zlib` would.", "run", ["zlib"]),
    ],
)
def test_the_terms_worth_asking_about_are_found_in_order(text: str, title: str, terms: list[str]) -> None:
    assert new_terms(text, title) == terms


@pytest.mark.parametrize(
    "text",
    [
        "The Example Returns nothing. None of these, NOT EVEN this, is True: self, cls, args and kwargs.",
        "If `x` is `None`, then `key`, `self` and `str(s)` mean file(s) and argument(s) as before, i.e. nothing.",
        "See https://example.org/CamelCase/SSL.html or write to someone@example.org about README.md.",
        "self.thing, obj.attribute and df.columns mean nothing without their example.",
    ],
)
def test_ordinary_words_arguments_and_addresses_are_no_terms(text: str) -> None:
    assert new_terms(text, "title") == []


def test_the_titles_own_names_are_not_asked_about_again() -> None:
    text = "OrderedDict, also `collections.OrderedDict`, differs from `OrderedDict.popitem()` and from MutableMapping."
    assert new_terms(text, "collections.OrderedDict") == ["OrderedDict.popitem", "MutableMapping"]


def test_pythons_own_documentation_raises_many_questions_and_no_junk() -> None:
    hits = [*language_passages(), *compiled_passages()]
    terms = [term for hit in hits for term in new_terms(hit.text, hit.title)]
    assert len(set(terms)) > 300
    junk = {"The", "Example", "Returns", "Return", "self", "cls", "None", "True", "False", "NOTE", "RFC", "PEP", "key"}
    assert not junk & set(terms)
    assert not any(term.startswith("self.") or len(term) < 2 or "`" in term or "(" in term for term in terms)


@given(st.text(max_size=500), st.text(max_size=50))
def test_any_text_gives_a_few_distinct_terms_that_stand_in_it(text: str, title: str) -> None:
    terms = new_terms(text, title)
    assert len(terms) <= MAX_TERMS
    assert len({term.casefold() for term in terms}) == len(terms)
    assert all(term.split()[-1].removesuffix("s") in text for term in terms)
