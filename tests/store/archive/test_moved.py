"""A workspace with an archive moves to the other engine and back; its files stay where they are."""

from __future__ import annotations

import pytest

from aegis.store import Database, DecisionStore
from aegis.store.archive import book
from aegis.store.chain.check import verify
from aegis.store.engine.address import parse
from aegis.store.moving.move import move
from aegis.types import new_id
from tests.store.archive.conftest import COUNT, contents, record

pytestmark = pytest.mark.postgres


def test_an_archived_record_moves_there_and_back_and_goes_on(tmp_path, postgres_server, make_decision, archive_all):
    path = tmp_path / "mine" / "aegis.db"
    with Database(path) as database:
        record(DecisionStore(database), make_decision, 0, COUNT)
        archive_all(database)
        before, found, files = contents(database), verify(database), book.list_archives(database)
    move(path, parse(postgres_server, new_id()))
    with Database(path) as database:
        assert not database.on_sqlite
        assert (contents(database), verify(database).head, verify(database).fault) == (before, found.head, "")
        assert book.list_archives(database) == files
        record(DecisionStore(database), make_decision, COUNT, COUNT + 20)
        archive_all(database)
        before, head = contents(database), verify(database).head
    move(path, None)
    with Database(path) as database:
        assert database.on_sqlite
        assert (contents(database), verify(database).head, verify(database).fault) == (before, head, "")
