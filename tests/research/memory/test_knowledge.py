from __future__ import annotations

import random
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aegis.promotion.judging.resemblance import BAND_ROWS, BANDS, bands_of, resemblance, shingles_of, signature
from aegis.rendering import clean_text
from aegis.research.memory.curiosity import Curiosity
from aegis.research.memory.knowledge import KnowledgeBase, KnowledgeItem

any_text = st.text(st.characters(), max_size=100)  # halves of surrogate pairs among them
WORDS = [f"word{number}" for number in range(2000)]


@given(any_text, any_text)
@example("half \ud83d", "\udc00")
def test_any_text_has_an_id_that_its_kept_form_shares(title, text):
    kept = KnowledgeItem("", clean_text(title), clean_text(text), "")
    assert KnowledgeItem("topic", title, text, "source").id == kept.id
    assert len(kept.id) == 64


def test_other_words_are_another_item_and_another_source_is_the_same_item(database, clock):
    base = KnowledgeBase(database)
    assert base.add(KnowledgeItem("t", "Title", "text", "a"), "g", clock())
    assert not base.add(KnowledgeItem("u", "Title", "text", "b"), "h", clock())
    assert base.add(KnowledgeItem("t", "Title", "text two", "a"), "g", clock())
    assert base.add(KnowledgeItem("t", "Title two", "text", "a"), "h", clock())
    assert (base.count(), base.count("g"), base.count("h"), base.count("none")) == (3, 2, 1, 0)
    assert (base.latest_title("g"), base.latest_title("h"), base.latest_title("none")) == ("Title", "Title two", None)


@pytest.fixture
def base(database):
    return KnowledgeBase(database)


def text_of(seed, length=60):
    return " ".join(random.Random(seed).choices(WORDS, k=length))


CHANGES = {
    "a word changed": lambda text: text.replace(text.split()[30], "changed", 1),
    "punctuation and case": lambda text: text.title().replace(" ", ", ", 9) + "!",
    "words added at the end": lambda text: text + " and so on",
    "words cut off": lambda text: text.rsplit(" ", 4)[0],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_passage_that_reads_nearly_the_same_is_known(base, clock, change):
    for seed in range(20):
        text = text_of(seed)
        assert base.add(KnowledgeItem("t", f"Title {seed}", text, "a"), "g", clock())
        assert not base.add(KnowledgeItem("u", f"Title {seed}", CHANGES[change](text), "b"), "g", clock())
    assert base.count() == 20


def test_passages_that_share_half_their_words_are_different_items(base, clock):
    for seed in range(20):
        half = text_of(seed, 30)
        assert base.add(KnowledgeItem("t", "Title", f"{half} {text_of(seed + 100, 30)}", "a"), "g", clock())
        assert base.add(KnowledgeItem("t", "Title", f"{half} {text_of(seed + 200, 30)}", "a"), "g", clock())


@given(st.text(st.characters(), max_size=300), st.text(st.characters(), max_size=300))
@settings(max_examples=50)
def test_resemblance_is_a_share_the_same_both_ways_and_one_for_the_same_text(one, other):
    a, b = shingles_of(one), shingles_of(other)
    assert 0 <= resemblance(a, b) == resemblance(b, a) <= 1
    assert resemblance(a, a) == 1
    assert bands_of(a) == bands_of(shingles_of(one))
    assert all(-(2**63) <= band < 2**63 for band in bands_of(a))


@given(st.frozensets(st.text(st.characters(), min_size=1, max_size=20), min_size=1, max_size=50))
@settings(max_examples=50)
def test_the_signature_is_that_of_datasketch_which_wrote_the_bands_of_older_workspaces(shingles):
    datasketch = pytest.importorskip("datasketch", reason="needs aegis-hrm[dev]")
    theirs = datasketch.MinHash(num_perm=BANDS * BAND_ROWS, seed=1)
    theirs.update_batch([shingle.encode("utf-8", "replace") for shingle in shingles])
    assert signature(shingles).tolist() == theirs.hashvalues.tolist()


def test_the_bands_of_a_text_never_change():
    assert bands_of(shingles_of("a write-ahead log is kept beside the database"))[:2] == [
        8496851403403292924,
        -7581911005835720320,
    ]


def test_a_search_finds_by_all_words_then_by_some_the_title_first(base, clock):
    base.add(KnowledgeItem("sqlite3", "Backup", "Copies a database while connections are open.", "a"), "g", clock())
    base.add(KnowledgeItem("sqlite3", "Connections", "A backup is made of them elsewhere.", "a"), "g", clock())
    base.add(KnowledgeItem("json", "Decoder", "Reads a document.", "b"), "h", clock())
    found = base.search("What is a backup?", 5)
    assert [known.item.title for known in found] == ["Backup", "Connections"]
    assert (found[0].item.source, found[0].item.topic, found[0].goal) == ("a", "sqlite3", "g")
    assert found[0].found_at == clock()
    assert [known.item.title for known in base.search("open connection", 5)] == ["Backup"]
    assert [known.item.title for known in base.search("documents unheard-of", 5)] == ["Decoder"]
    assert [known.item.title for known in base.search("json", 5)] == ["Decoder"]
    assert len(base.search("backup", 1)) == 1
    assert base.search("unheard-of", 5) == base.search("", 5) == base.search("the", 5) == []
    assert [known.item.title for known in base.latest(2)] == ["Decoder", "Connections"]


@pytest.mark.parametrize(
    "query", ['"', "a AND (", "NEAR(x, 2)", "title:x*", "x' OR 1=1 --", "-x", "^x", "\x00", "\ud83d x"]
)
def test_no_query_is_a_command_to_the_search(base, clock, query):
    base.add(KnowledgeItem("t", "Some title", "Some text.", "s"), "g", clock())
    assert isinstance(base.search(query, 5), list)


def test_the_questions_that_an_item_closed_are_recorded(database, base, clock):
    curiosity = Curiosity(database, questions_per_item=2, open_limit=3)
    item = KnowledgeItem("t", "WAL", "A log.", "s")
    for name in ("WAL", "a log"):
        curiosity.raise_question(f"What is {name}?", "g", "e", "test", clock())
    base.add(item, "g", clock())
    curiosity.end_question(curiosity.find("What is WAL?").id, clock(), answered=True, items=[item.id])
    curiosity.end_question(curiosity.find("What is a log?").id, clock(), answered=False)
    closed = "SELECT text FROM closings JOIN questions ON questions.id = question WHERE item = ?"
    assert [row["text"] for row in database.query(closed, [item.id])] == ["What is WAL?"]


@given(*[st.text(st.characters(), max_size=200)] * 4)
@settings(max_examples=40)
def test_kept_items_have_no_control_characters_whatever_was_read(title, text, source, topic):
    from datetime import UTC, datetime
    from tempfile import TemporaryDirectory

    from aegis.store import Database

    with TemporaryDirectory() as folder, Database(f"{folder}/aegis.db") as database:
        base = KnowledgeBase(database)
        base.add(KnowledgeItem(topic, title, f"\x1b[2J{text}\u202e", source), "g", datetime.now(UTC))
        (kept,) = base.latest(5)
        for value in (kept.item.title, kept.item.text, kept.item.source, kept.item.topic):
            assert not any(unicodedata.category(character)[0] == "C" for character in value)
            assert not any(character in value for character in "\n\r\u2028\u2029")


def test_an_item_is_added_and_found_quickly_among_many(base, database, clock):
    draw = random.Random(0)
    with database.transaction():
        for number in range(1500):
            text = " ".join(draw.choices(WORDS, k=50))
            assert base.add(KnowledgeItem("t", f"Title {number}", text, "s"), "g", clock())
    started = time.process_time()
    for number in range(50):
        base.add(KnowledgeItem("t", f"New {number}", " ".join(draw.choices(WORDS, k=50)), "s"), "g", clock())
        base.search(f"word{number} word{number + 1}", 5)
    assert time.process_time() - started < 5  # 0.2 s; other processes' time does not count
