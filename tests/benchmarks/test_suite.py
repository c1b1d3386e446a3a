"""The suite of decision problems: parts by episode, test parts unread, runs resumed, choices that flatter nothing."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.decisions import __main__ as command
from benchmarks.decisions import parts, problems, report
from benchmarks.decisions.figures import make_document
from benchmarks.decisions.means import make_means
from benchmarks.decisions.measure import Answers, Judged, cover, draw_means, judge, summarise
from benchmarks.decisions.problem import Card, Logged, Problem, find_ceiling
from benchmarks.decisions.problems import PROBLEMS
from benchmarks.decisions.rivals.names import RIVALS
from benchmarks.decisions.runs import opening, running
from benchmarks.decisions.runs.kept import Cell, KeptRuns, Run, write_record

CARD = Card("Which way", "made here", "none", "a rule", "a walk")


def make_decisions(episodes: int = 40, steps: int = 5) -> list[Logged]:
    rng = np.random.default_rng(0)
    found = []
    for episode in range(episodes):
        for step in range(steps):
            wall, number = ["left", "right"][int(rng.integers(2))], int(rng.integers(10_000))
            state = {"wall": wall, "number": number, "seen": f"a wall on the {wall} and number {number}"}
            found.append(Logged(f"walk {episode}", step, state, "turn_right" if wall == "left" else "turn_left"))
    return found


class Sealed:
    """A decision of a test part: whoever reads more of it than its episode fails."""

    def __init__(self, episode: str) -> None:
        self.episode = episode

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the {name} of a test decision was read")


class FakeProblem(Problem):
    """A problem in memory, whose test part is sealed."""

    def load(self, folder):
        return [Sealed(one.episode) if parts.is_tested(self, one.episode) else one for one in make_decisions()]


@pytest.fixture
def problem():
    return FakeProblem("walks", CARD, make_decisions)


@pytest.fixture
def options(tmp_path):
    given = ["--sizes", "60", "--seeds", "0", "1", "--rivals", "commonest", "table", "pairs", "--keep", str(tmp_path)]
    made = command.parser().parse_args(given)
    made.problems = ["walks"]
    return made


def test_parts_share_no_episode_and_the_test_part_is_the_same_for_every_seed_and_size(problem):
    listed = make_decisions()
    tested = {one.episode for one in listed if parts.is_tested(problem, one.episode)}
    assert 0 < len(tested) < 20
    for seed, size in ((0, 40), (1, 40), (1, 80)):
        found = parts.learn_and_develop(problem, listed, size, seed)
        train, judged = ({one.given.episode for one in part} for part in (found.train, found.judged))
        assert train
        assert judged
        assert not train & judged
        assert not (train | judged) & tested
        assert size <= len(found.train) < size + 5
    opened = parts.open_test(problem, listed, 80, 1, opening.Opening("walks", "today", "abc"))
    assert {one.given.episode for one in opened.judged} == tested
    assert [one.text for one in opened.train] == [one.text for one in found.train]


def test_no_state_that_was_learned_from_is_judged(problem):
    listed = [Logged(f"walk {n}", 0, {"wall": "left" if n % 2 else "right", "n": n % 30}, "go") for n in range(60)]
    found = parts.learn_and_develop(problem, listed, 30, 0)
    assert found.known > 0
    assert not {one.text for one in found.train} & {one.text for one in found.judged}


def test_a_size_that_a_problem_does_not_have_is_refused(problem):
    with pytest.raises(parts.TooFewDecisionsError, match=r"walks has 1\d\d decisions to learn from, not 300"):
        parts.learn_and_develop(problem, make_decisions(), 300, 0)


def test_the_suite_reads_nothing_of_a_test_decision_but_its_episode(problem, options):
    with pytest.raises(AssertionError, match="of a test decision was read"):
        parts.name_actions(problem.load(options.keep))  # the seal holds
    kept = command.run_suite(options, {"walks": problem})
    document = make_document(kept.read_all(), {"walks": problem}, options.keep)
    assert document["cards"][0]["tested"] > 0
    assert len(document["runs"]) == 6


def test_a_killed_suite_goes_on_and_runs_only_what_is_missing(problem, options, monkeypatch):
    done, develop = [], running.develop

    def develop_twice(cell, rival, found):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(cell)
        return develop(cell, rival, found)

    monkeypatch.setattr(command, "develop", develop_twice)
    with pytest.raises(KeyboardInterrupt):
        command.run_suite(options, {"walks": problem})
    before, done[:] = list(done), []

    def develop_and_note(cell, rival, found):
        done.append(cell)
        return develop(cell, rival, found)

    monkeypatch.setattr(command, "develop", develop_and_note)
    kept = command.run_suite(options, {"walks": problem})
    assert [cell for cell in command.plan(options) if cell not in before] == done
    assert {run.cell for run in kept.read_all()} == set(command.plan(options))


def test_what_is_counted_of_a_run_and_its_figures_come_back_as_they_were_kept(problem, options):
    options.rivals, options.seeds = ["pairs"], [0]
    (run,) = command.run_suite(options, {"walks": problem}).read_all()
    assert run.figures["accuracy"] == run.counted.right.mean() == 1.0
    assert run.figures["coverage"] == run.counted.taken.mean()
    assert run.figures["kl"] == pytest.approx(run.counted.divergences.mean(), abs=1e-4)
    assert run.figures["episodes"] == len(np.unique(run.counted.episodes))
    assert run.figures["learned"] == 60
    assert run.figures["milliseconds"] > 0
    assert run.figures["commit"] == opening.read_commit()


def test_runs_of_a_record_count_as_done_and_stand_beside_those_made_here(problem, options, tmp_path, monkeypatch):
    options.rivals, options.seeds = ["table"], [0]
    runs = command.run_suite(options, {"walks": problem}).read_all()
    options.record = tmp_path / "runs.jsonl.gz"
    write_record(options.record, runs)
    options.keep, options.rivals = tmp_path / "elsewhere", ["table", "pairs"]
    asked, develop = [], running.develop

    def develop_and_note(cell, rival, found):
        asked.append(cell)
        return develop(cell, rival, found)

    monkeypatch.setattr(command, "develop", develop_and_note)
    both = command.run_suite(options, {"walks": problem}).read_all()
    assert [cell.rival for cell in asked] == ["pairs"]
    assert [run.cell.rival for run in both] == ["pairs", "table"]
    assert both[1].counted.right.tolist() == runs[0].counted.right.tolist()
    assert both[1].counted.episodes.tolist() == runs[0].counted.episodes.tolist()


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"{}\n"), gzip.compress(b"[1]\n")])
def test_a_file_that_is_no_record_is_named(content, tmp_path):
    path = tmp_path / "runs.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(SystemExit, match=r"runs\.jsonl\.gz: no (record of runs|run of this version)"):
        KeptRuns(tmp_path, path)


def test_a_run_that_an_earlier_version_kept_is_named(tmp_path):
    (tmp_path / "walks-60-0-pairs.json").write_text('{"cell": {}, "figures": {}}')
    with pytest.raises(SystemExit, match=r"walks-60-0-pairs\.json: no run of this version .* it is run again"):
        KeptRuns(tmp_path).read_all()


def test_runs_on_development_parts_never_count_as_runs_on_test_parts(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["--final", "--record", str(tmp_path / "runs.jsonl.gz"), "--keep", str(tmp_path)])
    assert "--record is for development parts" in capsys.readouterr().err


def test_an_opening_is_recorded_before_the_test_part_is_read_and_its_result_after(
    problem, options, tmp_path, monkeypatch
):
    record = tmp_path / "openings.jsonl"
    problem = Problem("walks", CARD, make_decisions)
    monkeypatch.setattr(opening, "find_commit", lambda *given: "abc")
    monkeypatch.setattr(command, "open_recorded", lambda one: opening.open_recorded(one, record))
    monkeypatch.setattr(command, "record_result", lambda one, result: opening.record_result(one, result, record))

    def open_when_recorded(*given):
        assert len(record.read_text().splitlines()) == 1
        return parts.open_test(*given)

    monkeypatch.setattr(command, "open_test", open_when_recorded)
    kept = command.run_final(options, {"walks": problem})
    first, second = map(json.loads, record.read_text().splitlines())
    assert (first["problem"], first["commit"]) == ("walks", "abc")
    assert second["result"]["walks-60-0-pairs"]["accuracy"] == 1.0
    assert len(kept.read_all()) == 6


def test_the_test_part_opens_for_its_own_problem_only(problem):
    with pytest.raises(ValueError, match="does not cover it"):
        parts.open_test(problem, make_decisions(), 60, 0, opening.Opening("other", "today", "abc"))
    untested = replace(PROBLEMS["shipped"], name="walks", fresh=None)
    with pytest.raises(ValueError, match="does not cover it"):
        parts.open_test(untested, make_decisions(), 60, 0, opening.Opening("walks", "today", "abc"))


def test_a_problem_whose_decisions_chose_the_defaults_is_tested_by_decisions_collected_later(problem):
    later = make_decisions(3)
    tuned = replace(PROBLEMS["shipped"], name="walks", fresh=lambda: [replace(one, episode="later") for one in later])
    opened = parts.open_test(tuned, make_decisions(), 60, 0, opening.Opening("walks", "today", "abc"))
    assert {one.given.episode for one in opened.judged} <= {"later"}
    assert len(opened.judged) + opened.known == len(later)


def test_tables_of_no_runs_are_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(SystemExit, match=r"test: no run is done: take away --table, .*--keep"):
        command.main(["--table", "--final", "--keep", str(tmp_path)])


def test_fresh_decisions_are_told_apart_by_the_file_of_their_seed(tmp_path, monkeypatch):
    for seed in (1, 2):
        shutil.copy(problems.REPOSITORY / "data" / "decisions.jsonl.gz", tmp_path / f"seed-{seed}.jsonl.gz")
    monkeypatch.setattr(problems, "FRESH", tmp_path)
    found = list(problems.read_fresh())
    assert len(found) == 2200
    assert len({one.episode for one in found}) == 2 * 55


def test_code_that_is_not_committed_opens_nothing(tmp_path):
    assert opening.read_commit(tmp_path) is None
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "changed.py").touch()
    with pytest.raises(SystemExit, match=r"not committed: changed\.py"):
        opening.find_commit(tmp_path, tmp_path / "openings.jsonl")


def test_every_row_of_the_tables_has_its_columns_and_the_plot_is_drawn(problem, options, tmp_path):
    kept = command.run_suite(options, {"walks": problem})
    runs = kept.read_all()
    runs += [replace(run, cell=replace(run.cell, rival="hrm")) for run in runs if run.cell.rival == "pairs"]
    document = make_document(runs, {"walks": problem}, options.keep)
    assert json.loads(json.dumps(document))["leads"][0]["accuracy"]["ahead"] == 0.0
    assert [row["coverage"]["ahead"] for row in document["means"] if row["rival"] == "pairs"] == [0.0]
    tables = report.write_tables(document)
    for table in tables.split("\n\n"):
        if not table.startswith("#"):
            assert len({line.count("|") for line in table.splitlines()}) == 1, table
    assert "| regression on words and pairs | 100.0 (2) | 100.0 |" in tables
    assert "of others" not in tables
    report.draw(document, tmp_path / "suite.png")
    assert (tmp_path / "suite.png").read_bytes().startswith(b"\x89PNG")


def test_the_problem_of_ones_own_agent_counts_in_one_mean_and_not_in_the_other(problem, options, tmp_path):
    runs = command.run_suite(options, {"walks": problem}).read_all()
    runs = [run for run in runs if run.cell.rival in ("commonest", "pairs")]
    runs += [replace(run, cell=replace(run.cell, rival="hrm")) for run in runs if run.cell.rival == "pairs"]
    runs += [
        replace(run, cell=replace(run.cell, problem="mine", rival={"hrm": "commonest", "commonest": "hrm"}[name]))
        for run in runs
        if (name := run.cell.rival) != "pairs"
    ]
    runs += [replace(run, cell=replace(run.cell, problem="more")) for run in runs if run.cell.problem == "walks"]
    problems = {name: replace(problem, name=name) for name in ("walks", "more")}
    problems["mine"] = replace(problem, name="mine", fresh=lambda: [])
    document = make_document(runs, problems, options.keep)
    rows = {
        key: next(row for row in document[key] if row["rival"] == "commonest") for key in ("means", "means_of_others")
    }
    assert [row["problems"] for row in rows.values()] == [3, 2]
    ahead = [row["accuracy"]["ahead"] for row in rows.values()]
    assert ahead[1] == pytest.approx(3 * ahead[0])  # on its own agent's problem it is as far behind
    assert ahead[1] > 0.3
    tables = report.write_tables(document)
    assert "| | walks | more | mine | mean | mean of the 2 of others |" in tables
    row = next(line for line in tables.splitlines() if line.startswith("| the HRM, four segments |"))
    cells = [cell.split()[0] for cell in row.strip("|").split("|")[1:]]
    assert cells[4] == cells[0] == cells[1] == "100.0"  # of walks and more alone
    assert float(cells[3]) < 90
    assert "### Means over the problems of others, 60 decisions" in tables


def answers_of(probabilities, labels, episodes) -> Answers:
    return Answers(probabilities, np.eye(probabilities.shape[1])[labels], labels, episodes)


def test_a_search_among_guesses_is_not_flattered_by_its_own_choice():
    rng = np.random.default_rng(0)
    labels, episodes = rng.integers(2, size=200), np.arange(200) // 5
    guesses = [answers_of(rng.dirichlet([1, 1], size=200), labels, episodes) for _ in range(200)]
    assert max(one.right.mean() for one in guesses) > 0.58
    assert judge(guesses).answers.right.mean() < 0.56


def test_a_rival_takes_what_its_answers_certify_by_episode():
    sure = np.linspace(0.99, 0.6, 400)
    rows, labels = np.column_stack([sure, 1 - sure]), (np.arange(400) >= 200).astype(int)  # right where it is sure
    assert cover(answers_of(rows, labels, np.arange(400))).mean() == pytest.approx(0.5, abs=0.02)
    assert not cover(answers_of(rows, labels, np.arange(400) // 100)).any()  # two episodes prove nothing
    assert not cover(answers_of(rows, 1 - labels, np.arange(400))).any()


def test_figures_of_certain_answers_and_of_soft_targets():
    labels, episodes = np.array([0, 1, 1, 0]), np.array([1, 1, 2, 2])
    certain = np.eye(2)[labels]
    found = judge([Answers(certain, certain, labels, episodes)])
    assert summarise(found)["accuracy"] == 1.0
    assert summarise(found)["kl"] == pytest.approx(0.0005, abs=1e-4)
    soft = np.full((4, 2), 0.5)
    assert Answers(soft, soft, labels, episodes).divergences == pytest.approx(0.0)


def test_draws_of_the_same_episodes_are_paired():
    episodes, values = np.repeat(np.arange(30), 4), np.random.default_rng(1).random(120)
    assert draw_means(values + 1, episodes) == pytest.approx(draw_means(values, episodes) + 1)
    assert draw_means(values, episodes).std() > 0


def test_a_mean_counts_each_problem_once_and_draws_of_problems_are_wider_where_they_differ():
    def run(problem: str, rival: str, right: bool, count: int) -> Run:
        labels, episodes = np.zeros(count, dtype=np.int64), np.arange(count)
        answers = answers_of(np.tile([[0.9, 0.1]] if right else [[0.1, 0.9]], (count, 1)), labels, episodes)
        return Run(Cell(problem, 100, 0, rival), {}, Judged(answers, answers.right).counted)

    runs = [run("few", "hrm", True, 10), run("few", "table", False, 10)]
    runs += [run("many", "hrm", True, 90), run("many", "table", True, 90)]
    runs += [run("other", "table", True, 90)]
    (row,) = make_means(runs, 100, ("hrm",))
    assert (row["rival"], row["problems"]) == ("table", 2)
    assert (row["accuracy"]["own"], row["accuracy"]["its"], row["accuracy"]["ahead"]) == (1.0, 0.5, 0.5)
    assert row["accuracy"]["interval"] == (0.5, 0.5)
    assert row["accuracy"]["interval_by_problem"] == (0.0, 1.0)
    assert make_means(runs, 300, ("hrm",)) == []


def test_the_ceiling_is_what_equal_states_allow():
    states = [({"a": 1}, "x"), ({"a": 1}, "x"), ({"a": 1}, "y"), ({"a": 2}, "y")]
    assert find_ceiling([Logged("e", n, state, action) for n, (state, action) in enumerate(states)]) == 0.75


def test_every_problem_has_a_card_and_every_rival_a_title():
    for name, one in PROBLEMS.items():
        assert one.name == name
        assert all((one.card.title, one.card.source, one.card.licence, one.card.label, one.card.episode))
    assert len({rival.title for rival in RIVALS.values()}) == len(RIVALS)


@pytest.mark.parametrize("figures", ["suite.json", "suite-final.json"])
def test_the_tables_of_the_pages_are_those_of_the_figures(figures):
    folder = Path(command.__file__).parent
    document = json.loads((folder / figures).read_text("utf-8"))
    docs = folder.parents[1] / "docs"
    pages = "".join((docs / page).read_text("utf-8") for page in ("suite.md", "suite-sizes.md", "suite-test.md"))
    tables = [part for part in report.write_tables(document).split("\n\n") if part.startswith("|")]
    assert len(tables) > 4
    assert [table for table in tables if table not in pages] == []
