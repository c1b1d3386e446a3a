"""States out of distribution are counted across restarts, and a rising share is warned of once."""

from __future__ import annotations

import pytest

from aegis.errors import StoreError
from aegis.lifecycle import open_store, read_drift_count
from aegis.lifecycle.serving.drift import DriftMonitor
from aegis.promotion import ModelRegistry
from aegis.store import StateKey
from aegis.types import Choice


def choice(unlike):
    return Choice((1.0, 0.0), "idle", "gpt2" if unlike else "hrm@1", out_of_distribution=unlike)


def refuse(*given):
    raise StoreError("the disk is full")


def test_states_out_of_distribution_are_counted_across_restarts_and_a_rising_share_warns_once(workspace):
    told = []
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(lambda name, place: None)
        monitor = DriftMonitor(store, workspace, told.append)
        for number in range(100):
            monitor.after(choice(number % 50 == 0), "hrm@1")
        monitor.close()
        assert told == []
        assert read_drift_count(store, "hrm@1") == (2, 100)
        monitor = DriftMonitor(store, workspace, told.append)
        for number in range(60):
            monitor.after(choice(number % 3 == 0), "hrm@1")
        monitor.close()
        (line,) = told
        assert "meets more and more states that it does not know" in line
        assert ModelRegistry(store, workspace).events()[-1].kind == "warned"
        assert read_drift_count(store, "hrm@1").unlike == 22


def test_the_bet_goes_on_after_a_restart_and_an_episode_of_unknown_states_is_one_observation(workspace):
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(lambda name, place: None)
        told = []
        for _ in range(12):  # a process for each decision
            DriftMonitor(store, workspace, told.append).after(choice(True), "hrm@1", "one episode")
        assert told == []
        for _ in range(12):
            DriftMonitor(store, workspace, told.append).after(choice(True), "hrm@1")
        assert len(told) == 1
        assert read_drift_count(store, "hrm@1") == (24, 24)


@pytest.mark.parametrize(("closes", "counted"), [(False, (8, 80)), (True, (10, 100))])
def test_which_decisions_a_process_that_ends_counts_does_not_depend_on_what_they_were(workspace, closes, counted):
    told = []
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(lambda name, place: None)
        for lost in range(10):
            monitor = DriftMonitor(store, workspace, told.append)
            for number in range(10):
                monitor.after(choice(number == lost), "hrm@1")
            if closes:
                monitor.close()
                monitor.close()  # nothing is written twice
        assert read_drift_count(store, "hrm@1") == counted
        assert told == []


def test_a_long_process_has_at_most_fifty_decisions_that_are_not_written(workspace):
    with open_store(workspace) as store:
        monitor = DriftMonitor(store, workspace)
        for number in range(1, 501):
            monitor.after(choice(False), "hrm@1")
            assert 0 <= number - read_drift_count(store, "hrm@1").decisions < min(50, max(1, number / 2))


def test_what_was_counted_of_a_version_is_written_when_another_one_serves(workspace):
    with open_store(workspace) as store:
        monitor = DriftMonitor(store, workspace)
        for name, count in (("hrm@1", 7), ("hrm@2", 3)):
            for _ in range(count):
                monitor.after(choice(False), name)
        monitor.close()
        assert [read_drift_count(store, name).decisions for name in ("hrm@1", "hrm@2")] == [7, 3]


def test_a_database_that_can_not_be_written_at_the_end_stops_nothing(workspace, monkeypatch):
    with open_store(workspace) as store:
        monitor = DriftMonitor(store, workspace)
        for _ in range(3):
            monitor.after(choice(False), "hrm@1")
        with monkeypatch.context() as patch:
            patch.setattr(store.state, "keep", refuse)
            monitor.close()
        assert read_drift_count(store, "hrm@1").decisions == 2


def test_a_count_of_an_earlier_version_goes_on_without_its_bet(workspace):
    with open_store(workspace) as store:
        store.state.keep(StateKey.DRIFT, {"unlike": 3, "decisions": 50}, "hrm@1")
        DriftMonitor(store, workspace).after(choice(True), "hrm@1")
        assert read_drift_count(store, "hrm@1") == (4, 51)


def test_a_choice_that_does_not_know_its_distribution_is_not_counted(workspace):
    with open_store(workspace) as store:
        monitor = DriftMonitor(store, workspace)
        for unlike in (None, True, None):
            monitor.after(choice(unlike), "hrm@1")
        monitor.close()
        assert read_drift_count(store, "hrm@1") == (1, 1)


def test_versions_that_phase_4_improved_count_with_their_base(workspace):
    told = []
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.promote(lambda name, place: place.mkdir(parents=True, exist_ok=True))
        for _ in range(4):
            registry.advance(registry.keep(lambda name, place: place.mkdir(parents=True, exist_ok=True), {}, "hrm@1"))
        monitor = DriftMonitor(store, workspace, told.append)
        for number in range(60):
            monitor.after(choice(number % 3 == 0), f"hrm@{1 + number // 12}")
        monitor.close()
        (line,) = told
        assert "hrm@1 meets more and more states" in line
        assert read_drift_count(store, "hrm@1").unlike == 20
        assert read_drift_count(store, "hrm@5").decisions == 0
