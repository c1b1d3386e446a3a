"""Decisions in Parquet files: read, counted, verified and erased as if they had never left the database."""

from __future__ import annotations

import os
import random
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from aegis.errors import DamagedArchiveError, DataError, MissingPackageError, StoreError
from aegis.store import Database, DecisionStore, LabelBook, RecordedDecisions, export_examples, read_tallies
from aegis.store.archive import book, writing
from aegis.store.archive.choice import choose, parse_age, parse_day
from aegis.store.archive.erasing import find_text
from aegis.store.archive.shrinking import measure, shrink
from aegis.store.chain.check import verify
from aegis.store.chain.erasure import Wanted, erase, find
from aegis.store.chain.file import verify_file
from aegis.types import Outcome, utc_now
from tests.store.archive.conftest import COUNT, PERSON, contents, record


def test_all_readers_give_the_same_before_and_after(filled, archive_all):
    database = filled.database
    before, found = contents(database), verify(database)
    tallies, own = read_tallies(database), RecordedDecisions(database.path, "gpt2")
    trained, key = list(own), own.key
    made = archive_all(database)
    assert len(made) > 2
    assert sum(one.decisions for one in made) == COUNT - 10 == book.count_archived(database)
    assert database.query("SELECT COUNT(*) FROM decisions WHERE state = 'null'")[0][0] == COUNT - 10
    assert contents(database) == before
    assert read_tallies(database) == tallies
    again = RecordedDecisions(database.path, "gpt2")
    assert (list(again), again.key, again[3], len(again)) == (trained, key, trained[3], COUNT)
    after = verify(database, found.head)
    assert (after.fault, after.head, after.counts, after.files) == ("", found.head, found.counts, len(made))
    assert after.noted_at is not None


def test_the_record_goes_on_and_is_archived_again(filled, archive_all, make_decision):
    database = filled.database
    archive_all(database)
    record(filled, make_decision, COUNT, COUNT + 30)
    filled.record_outcome(Outcome("d2", "failed", 3, -1.0, detail="late", result={"late": True}))
    LabelBook(database).append(filled.get("d1").decision, "hrm@1", [0.0, 1.0, 0.0], "audit", utc_now())
    assert filled.get("d2").outcome.result == {"late": True}
    before, head = contents(database), verify(database).head
    assert archive_all(database)
    assert not archive_all(database)
    assert contents(database) == before
    assert (verify(database).fault, verify(database).head) == ("", head)


def test_an_id_and_a_step_of_the_archive_are_taken(filled, archive_all, make_decision):
    archive_all(filled.database)
    for other in (make_decision(999, id="d3"), make_decision(3, id="new")):
        with pytest.raises(StoreError, match="is recorded already"):
            filled.append(other)


def test_an_export_carries_the_whole_chain(filled, archive_all, tmp_path):
    plain, archived = tmp_path / "plain.jsonl", tmp_path / "archived.jsonl"
    export_examples(filled, plain)
    archive_all(filled.database)
    export_examples(filled, archived)
    assert plain.read_bytes() == archived.read_bytes()
    assert verify_file(archived).fault == ""


@pytest.mark.parametrize("wanted", [Wanted((("who.name", PERSON),)), Wanted(text=PERSON.upper())])
def test_an_erased_person_is_in_no_file_and_the_chain_still_verifies(filled, archive_all, wanted):
    database, folder = filled.database, book.folder_of(filled.database)
    head = verify(database).head
    before = [one.file for one in archive_all(database)]
    assert len(find_text(database, [PERSON])) == len(before)
    erased = erase(database, find(database, wanted))
    assert (erased["decisions"], erased["labels"]) == (COUNT // 3, COUNT // 15)
    found = verify(database, head)
    assert (found.fault, found.counts["decision"], found.noted_at is not None) == ("", COUNT * 2 // 3, True)
    assert not find_text(database, ["Änne", "Example", "d30", "d33"]), "the ids go, too"
    names = [one.file for one in book.list_archives(database)]
    assert names == [name.replace(".parquet", "-r1.parquet") for name in before]
    assert sorted(path.name for path in folder.iterdir()) == names, "the files before are gone"
    assert filled.get("d3") is None
    assert filled.get("d4") is not None
    assert not find(database, wanted)
    assert sum(tally.decisions for tally in read_tallies(database)) == COUNT * 2 // 3


def test_nobody_else_may_change_what_is_recorded(filled, archive_all):
    database = filled.database
    archive_all(database)
    short = "state = 'null', actions = 'null', argument = 'null', probabilities = NULL"
    for refused in (
        "DELETE FROM decisions WHERE seq = 1",
        "UPDATE decisions SET state = '{}' WHERE seq = 1",
        f"UPDATE decisions SET {short}, action = 'idle' WHERE seq = 1",
        f"UPDATE decisions SET {short} WHERE id = 'd{COUNT - 1}'",
        "UPDATE outcomes SET reward = 1 WHERE seq = 1",
        "UPDATE outcomes SET result = 'null', components = 'null', detail = '' WHERE decision_id = 'd59'",
        "UPDATE labels SET teacher = 'me' WHERE seq = 1",
        "UPDATE archives SET last_place = 100000",
        "DELETE FROM archives",
        "DELETE FROM chain",
    ):
        with pytest.raises(StoreError, match="append-only"), database.transaction() as connection:
            connection.execute(refused)


def test_the_choice_ends_before_the_first_young_decision(filled, make_decision):
    database, noon = filled.database, datetime(2026, 1, 31, 12, tzinfo=UTC)
    at = noon + timedelta(seconds=20)
    assert choose(database, before=at).decisions == 20, "the 21st decision was made after that moment"
    chosen = choose(database, before=noon + timedelta(days=9))
    assert (chosen.decisions, chosen.without_outcome) == (COUNT - 1, 15), "the newest one stays"
    assert choose(database, before=noon).decisions == choose(database, keep=COUNT).decisions == 0
    assert choose(database, keep=1).decisions == COUNT - 1
    filled.append(make_decision(COUNT, decided_at=noon - timedelta(days=9)))
    assert choose(database, before=at).decisions == 20, "an old one behind young ones waits for them"


def test_ages_and_days_are_read_or_refused():
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert [parse_age(text, now) for text in ("48h", "2d")] == [now - timedelta(days=2)] * 2
    assert parse_age("2w", now) == now - timedelta(days=14)
    assert parse_day("2026-06-01") == parse_day("2026-06-01T02:00:00+02:00") == now
    for refused in ("90", "d", "1y", "-3d"):
        with pytest.raises(DataError, match=r"write a number and h, d or w, e\.g\. 90d"):
            parse_age(refused, now)
    with pytest.raises(DataError, match="write a day like 2026-06-01"):
        parse_day("yesterday")


def test_a_missing_file_is_named_and_what_needs_no_file_goes_on(filled, archive_all):
    database = filled.database
    file = book.folder_of(database) / archive_all(database)[1].file
    aside = shutil.move(file, file.with_suffix(".aside"))
    with pytest.raises(DamagedArchiveError, match=rf"{file.name}: is missing: put a copy of it back"):
        list(filled.examples())
    assert file.name in verify(database).fault
    assert filled.count() == COUNT
    assert read_tallies(database)
    assert filled.get(f"d{COUNT - 1}") is not None
    shutil.move(aside, file)
    assert verify(database).fault == ""
    assert len(list(filled.examples())) == COUNT


@pytest.mark.parametrize("cut", [0, 3, 2000])
def test_a_truncated_file_is_named(filled, archive_all, cut):
    file = book.folder_of(filled.database) / archive_all(filled.database)[0].file
    file.write_bytes(file.read_bytes()[:cut])
    assert file.name in verify(filled.database).fault
    with pytest.raises(DamagedArchiveError, match="is damaged"):
        filled.get("d1")


@pytest.mark.sqlite
def test_any_flipped_byte_is_found_and_most_are_named_by_their_row(filled, archive_all):
    database = filled.database
    file = book.folder_of(database) / archive_all(database)[0].file
    whole, rng, rows = file.read_bytes(), random.Random(7), 0
    for _ in range(60):
        at = rng.randrange(len(whole))
        file.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
        fault = verify(database).fault
        assert file.name in fault, at
        rows += "decision d" in fault
    assert rows > 10
    file.write_bytes(whole)
    assert verify(database).fault == ""


def test_a_changed_row_in_a_file_is_named_whatever_its_hash(filled, archive_all, monkeypatch):
    from aegis.store.archive import form

    database = filled.database
    archive = archive_all(database)[0]
    path = book.folder_of(database) / archive.file
    file = form.File(path)
    entries = list(file.entries())
    file.close()
    changed = next(entry for entry in entries if entry["about"] == "d7" and entry["kind"] == "decision")
    changed["state"] = changed["state"].replace("7", "8")
    form.write_rows(path, [entries])
    with database.transaction() as connection:
        connection.execute("UPDATE archives SET sha256 = ? WHERE file = ?", (book.hash_file(path), archive.file))
    assert verify(database).fault == "decision d7 (number 8): was changed"


def test_a_record_that_is_not_whole_is_not_archived(filled, archive_all):
    database = filled.database
    off = "DROP TRIGGER {0}" if database.on_sqlite else "ALTER TABLE decisions DISABLE TRIGGER USER -- {0}"
    database.connection.execute(off.format("decisions_refuse_update"))
    database.connection.execute("UPDATE decisions SET state = '{\"forged\": true}' WHERE id = 'd30'")
    with pytest.raises(StoreError, match="decision d30 is not as it was recorded, so it stays in the database"):
        archive_all(database)
    assert filled.get("d30").decision.state == {"forged": True}
    assert not [
        path
        for path in book.folder_of(database).iterdir()
        if path.name not in {one.file for one in book.list_archives(database)}
    ]


KILLS = [
    ("aegis.store.archive.form.write_rows", "after"),
    ("aegis.store.archive.writing._compare", "before"),
    ("aegis.store.archive.writing._register", "before"),
    ("aegis.store.archive.writing._register", "after"),
    ("aegis.store.archive.writing._archive", "after"),
    ("aegis.store.archive.erasing.replace", "before"),
    ("aegis.store.archive.erasing.remove_left", "before"),
]


def in_child(monkeypatch, target, when, call, work):
    """Do something in a child that is killed before or after a function's n-th call."""
    module, _, name = target.rpartition(".")
    plain, calls = getattr(__import__(module, fromlist=[name]), name), [0]

    def dying(*given, **named):
        calls[0] += 1
        if calls[0] == call and when == "before":
            os._exit(9)
        made = plain(*given, **named)
        if calls[0] == call:
            os._exit(9)
        return made

    child = os.fork()
    if not child:
        try:
            monkeypatch.setattr(target, dying)
            if name in ("replace", "remove_left"):
                monkeypatch.setattr(f"aegis.store.chain.erasure.{name}", dying)
            work()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize(("target", "when"), KILLS[:5])
def test_a_kill_loses_nothing_doubles_nothing_and_the_next_run_cleans_up(
    path, make_decision, archive_all, monkeypatch, target, when, call
):
    with Database(path) as database:
        record(DecisionStore(database), make_decision, 0, COUNT)
        before, head = contents(database), verify(database).head

    def work():
        with Database(path) as database:
            archive_all(database)

    in_child(monkeypatch, target, when, call, work)
    with Database(path) as database:
        assert (contents(database), verify(database).head, verify(database).fault) == (before, head, "")
        archive_all(database)
        assert (contents(database), verify(database).head, verify(database).fault) == (before, head, "")
        names = {one.file for one in book.list_archives(database)}
        assert {one.name for one in book.folder_of(database).iterdir()} == names
        assert book.count_archived(database) == COUNT - 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("target", "when"), KILLS[5:])
def test_a_killed_erasure_is_ended_by_the_next_one(path, make_decision, archive_all, monkeypatch, target, when):
    with Database(path) as database:
        record(DecisionStore(database), make_decision, 0, COUNT)
        archive_all(database)

    def work():
        with Database(path) as database:
            erase(database, find(database, Wanted((("who.name", PERSON),))))

    in_child(monkeypatch, target, when, 1, work)
    with Database(path) as database:
        assert verify(database).fault == ""
        erase(database, find(database, Wanted((("who.name", PERSON),))))
        assert (verify(database).fault, verify(database).counts["decision"]) == ("", COUNT * 2 // 3)
        assert not find_text(database, [PERSON])
        names = {one.file for one in book.list_archives(database)}
        assert {one.name for one in book.folder_of(database).iterdir()} == names


def test_a_file_that_an_older_copy_of_the_database_does_not_know_is_left(filled, archive_all):
    archive_all(filled.database)
    other = book.folder_of(filled.database) / book.name_file(10_000, 20_000)
    other.write_bytes(b"of a newer database")
    assert book.find_left(filled.database) == ([], [other])
    archive_all(filled.database, keep=5)
    assert other.exists()


def test_another_program_that_reads_meanwhile_sees_the_same(filled, archive_all):
    """A reader holds a page of whole rows, then meets short ones and a file that it did not know."""
    with Database(filled.database.path) as other:
        before = [example.decision for example in filled.examples()]
        reading = DecisionStore(other).examples()
        assert next(reading).decision == before[0]
        archive_all(filled.database)
        assert [one.decision for one in reading] == before[1:]
        assert DecisionStore(other).get("d5").decision == before[5]
        erase(filled.database, find(filled.database, Wanted(decision="d6")))
        assert DecisionStore(other).get("d7").decision == before[7], "its file was written anew"


def test_the_database_becomes_smaller_unless_it_is_large(filled, archive_all, monkeypatch):
    database = filled.database
    for step in range(COUNT, COUNT + 200):
        filled.append(filled.get("d1").decision.__class__(**fields(filled.get("d1").decision, step)))
    before = measure(database)
    archive_all(database)
    monkeypatch.setattr("aegis.store.archive.shrinking.MOST_BYTES", 1)
    assert "keeps its size" in shrink(database)
    assert shrink(database, wanted=True) == ""
    assert measure(database) < before
    assert verify(database).fault == ""


def fields(decision, step):
    return {
        **{name: getattr(decision, name) for name in ("episode", "actions", "action", "probabilities", "policy")},
        **{"step": step, "state": {"text": str(random.Random(step).random()) * 500}, "id": f"d{step}"},
    }


def test_without_pyarrow_it_says_what_to_install(filled, archive_all, monkeypatch):
    import sys

    archive_all(filled.database)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "aegis.store.archive.form")
    with Database(filled.database.path) as other:
        with pytest.raises(MissingPackageError, match=r"needs PyArrow: pip install 'aegis-hrm\[archive\]'"):
            list(DecisionStore(other).examples())
        store = DecisionStore(other)
        assert store.count() == COUNT
        assert store.last_step("e1") == COUNT - 1
        store.record_outcome(Outcome("d1", "ok"))


def test_archiving_and_erasing_at_once_is_refused(filled, archive_all, monkeypatch):
    plain = writing._compare

    def meanwhile(*given):
        made = plain(*given)
        with Database(filled.database.path) as other:
            erase(other, find(other, Wanted(decision="d1")))
        return made

    monkeypatch.setattr(writing, "_compare", meanwhile)
    with pytest.raises(StoreError, match="erased decisions meanwhile: run it again"):
        archive_all(filled.database)
    monkeypatch.setattr(writing, "_compare", plain)
    archive_all(filled.database)
    assert verify(filled.database).fault == ""
    assert filled.get("d1") is None
