"""`make soak`: what it plants is really there, what it looks for would be found, a short run of it finds nothing."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing

import pytest

from aegis.config import EndpointConfig
from aegis.errors import TeacherError
from aegis.research import RESEARCH_ACTIONS
from aegis.teachers.openai_api import OpenAITeacher
from aegis.testing import ScriptedTeacher
from benchmarks.soak.fault import FAULTS, deal
from benchmarks.soak.hour import Hour, Planted, Report
from benchmarks.soak.ledger import BETWEEN, Checked, Said, check_record
from benchmarks.soak.machine import Machine
from benchmarks.soak.provider import GARBAGE, Provider
from benchmarks.soak.subject import AGENT, SERVER
from benchmarks.soak.table import render, wrong

STATE = {
    "options": ["search: What is WAL?", "ask: What is a page?", "idle"],
    "human": "here",
    "recent": ["search found nothing"],
    "waiting": {"answers": 1, "approvals": 0},
    "idle_turns": 1,
}


@pytest.fixture
def provider():
    provider = Provider(seed=0)
    yield provider
    provider.close()


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "disk").mkdir()
    machine = Machine(tmp_path, tmp_path / "disk")
    if not machine.has_layer:
        pytest.skip("needs Linux and a C compiler")
    yield machine
    machine.close()


def ask(provider, state=STATE):
    teacher = OpenAITeacher("rule", provider.url, config=EndpointConfig(attempts=1, timeout_seconds=30))
    with closing(teacher):
        return teacher.decide([state], RESEARCH_ACTIONS)[0].action


def test_the_provider_answers_as_the_scripted_teacher(provider):
    for state in (STATE, STATE | {"human": "away"}, STATE | {"human": "away", "recent": ["search found nothing"] * 4}):
        assert ask(provider, state) == ScriptedTeacher().decide([state], RESEARCH_ACTIONS)[0].action


@pytest.mark.parametrize("trouble", ["fails", *GARBAGE], ids=["fails", *(f"garbage {k}" for k in range(len(GARBAGE)))])
def test_whatever_the_provider_does_the_teacher_names_it(provider, trouble, monkeypatch):
    if trouble != "fails":
        monkeypatch.setattr(provider._draw, "choice", lambda kinds: trouble)
        trouble = "garbage"
    provider.trouble = trouble
    with pytest.raises(TeacherError, match="teacher rule"):
        ask(provider)
    provider.trouble = ""
    assert ask(provider) == "ask_human"


def run_below(machine, tmp_path, code):
    command = [sys.executable, "-c", code, str(tmp_path / "disk" / "file")]
    return subprocess.run(
        command, env=machine.environment(), capture_output=True, text=True, check=True, timeout=100
    ).stdout.strip()


def test_a_program_finds_the_clock_moved_and_the_disk_full_as_long_as_it_is(machine, tmp_path):
    year = "import datetime; print(datetime.datetime.now().year - datetime.date.fromtimestamp(0).year)"
    write = "import sys\ntry: print(open(sys.argv[1], 'w').write('x'))\nexcept OSError as error: print(error.strerror)"
    usual = int(run_below(machine, tmp_path, year))
    machine.move_clock(-20 * 366 * 86_400)
    machine.break_disk("disk full")
    assert int(run_below(machine, tmp_path, year)) in (usual - 20, usual - 21)
    assert run_below(machine, tmp_path, write) == "No space left on device"
    machine.move_clock(0)
    machine.break_disk("")
    assert int(run_below(machine, tmp_path, year)) == usual
    assert run_below(machine, tmp_path, write) == "1"


OPEN = """
import sys
from aegis.errors import StoreError
from aegis.store import Database
try: Database(sys.argv[1]).close()
except StoreError as error: print(error)
"""


def test_a_workspace_that_is_opened_on_a_full_disk_says_to_look_for_free_space(machine, tmp_path):
    assert run_below(machine, tmp_path, OPEN) == ""
    machine.break_disk("disk full")
    assert re.search("the disk is full|its disk has free space", run_below(machine, tmp_path, OPEN))
    machine.break_disk("")
    assert run_below(machine, tmp_path, OPEN) == ""


def test_the_seed_gives_the_order_of_the_faults_and_each_comes_before_any_comes_again():
    def draw(seed):
        faults = deal(random.Random(seed), has_layer=True)
        return [next(faults).name for _ in range(2 * len(FAULTS))]

    assert draw(1) == draw(1) != draw(2)
    assert set(Counter(draw(1)).values()) == {2}
    assert not any(next(deal(random.Random(k), has_layer=False)).needs_layer for k in range(30))


def make_database(path, rows, outcomes):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE decisions (id TEXT, state TEXT)")
        connection.execute("CREATE TABLE outcomes (decision_id TEXT)")
        connection.executemany("INSERT INTO decisions VALUES (?, ?)", rows)
        connection.executemany("INSERT INTO outcomes VALUES (?)", [(id,) for id in outcomes])
    connection.close()
    return path


def test_lost_doubled_and_unexplained_decisions_are_found(tmp_path):
    rows = [("a", '{"order": "1"}'), ("b", '{"order": "2"}'), ("c", '{"order": "2"}')]
    path = make_database(tmp_path / "aegis.db", rows, ["a"])
    sound = check_record(path, ["a", "b"], ["a"], unheard=1)
    assert (sound.lost, sound.doubled, sound.lost_outcomes, sound.wrong) == (0, 0, 0, [])
    assert check_record(path, ["a", "x"], [], unheard=9).lost == 1
    assert check_record(path, ["a", "a"], [], unheard=9).doubled == 1
    assert check_record(path, ["a"], [], unheard=9, key="order").doubled == 1
    assert check_record(path, ["a", "b"], ["a", "b"], unheard=9).lost_outcomes == 1
    assert check_record(path, ["a"], [], unheard=1).wrong == ["3 decisions recorded, 1 acknowledged, 1 unheard of"]
    assert check_record(tmp_path / "none.db", ["a"], [], unheard=0).lost == 1


def test_the_table_shows_each_fault_and_what_was_lost_and_says_so():
    report = Report(
        {"disk full": Planted(3, 3, 4.25)}, checked={AGENT: Checked(1200, 1201), SERVER: Checked(9, 8, lost=1)}
    )
    report.said.fault = "disk full"
    for number in range(2):
        report.said.note(f"/tmp/folder/aegis.db: the disk is full, {number} bytes left")
    text = render(report)
    assert "| disk full | 3 | 3 | 4.2 s | 2 |" in text
    assert "| decisions acknowledged | 1,200 | 9 |" in text
    assert "    2 x aegis.db: the disk is full, N bytes left" in text
    assert wrong(report) == ["server: 1 lost"]
    assert text.endswith("1 wrong\n  server: 1 lost")


def test_ids_and_numbers_do_not_tell_two_errors_apart():
    said = Said()
    for id in ("0f9be3ac44d1", "77e0c1aa90b2"):
        said.note(f"no decision {id} after 2.5 s")
    assert said.by_fault[BETWEEN] == {"no decision N after N s": 2}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("search_index")
def test_a_minute_of_faults_loses_and_doubles_nothing(tmp_path):
    report = Hour(tmp_path, 60, seed=3, say=print).run()
    assert wrong(report) == []
    assert sum(planted.times for planted in report.planted.values()) >= 2
    assert all(checked.acknowledged > 0 for checked in report.checked.values())
