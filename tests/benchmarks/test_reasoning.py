"""The reasoning benchmark's tasks have right answers, its models equal parameters, and its sweep resumes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path

from benchmarks.reasoning import __main__ as command
from benchmarks.reasoning import sudoku, tasks
from benchmarks.reasoning.sweep import planned, read, sweep
from benchmarks.reasoning.training import Schedule, score
from benchmarks.reasoning.variants import VARIANTS, Thinking, parameter_count

SIZES = [("maze", 5), ("maze", 7), ("pointers", 16), ("sudoku", 4), ("sudoku", 6)]


def test_a_maze_answers_with_the_distances_that_dijkstra_finds() -> None:
    size = 5
    for tokens, answers in zip(*made(tasks.maze(size, 20, np.random.default_rng(0))), strict=True):
        free = (tokens[1:] != tasks.WALL).reshape(size, size)
        pairs = [
            (cell, other)
            for cell in range(size**2)
            for other in (cell + 1, cell + size)
            if other < size**2 and (other != cell + 1 or other % size) and free.flat[cell] and free.flat[other]
        ]
        rows, columns = np.array(pairs).T
        graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(size**2, size**2))
        source = int(np.flatnonzero(tokens[1:] == tasks.SOURCE)[0])
        found = shortest_path(graph.tocsr(), directed=False, indices=source, method="D")
        expected = np.where(np.isinf(found), 3 * size + 1, found)
        assert (answers[1:][free.ravel()] == expected[free.ravel()]).all()
        assert (answers[1:][~free.ravel()] == tasks.IGNORED).all()


def test_every_kept_maze_has_cells_farther_than_its_side() -> None:
    farthest = tasks.maze(7, 200, np.random.default_rng(0)).depths.max(axis=1)
    assert farthest.min() > 7
    assert farthest.max() <= 21


def test_a_pointer_is_answered_by_the_node_where_following_it_stops() -> None:
    instances = tasks.pointers(16, 50, np.random.default_rng(0))
    for tokens, answers, depths in zip(instances.tokens, instances.answers, instances.depths, strict=True):
        targets = tokens[1:] - 1
        assert (targets == np.arange(16)).sum() == tasks.LISTS
        for node in range(16):
            place, hops = node, 0
            while targets[place] != place:
                place, hops = targets[place], hops + 1
            assert (answers[node + 1], depths[node + 1]) == (place, hops)


@pytest.mark.parametrize("size", [4, 6])
def test_a_sudoku_has_a_single_solution_and_that_is_the_answer(size: int) -> None:
    around = sudoku.peers(size)
    givens, solved = sudoku.puzzles(size, 24, np.random.default_rng(0))
    for puzzle, solution in zip(givens.tolist(), solved.tolist(), strict=True):
        # Digits tried from the last: another order of search than the generator's.
        assert sudoku.solutions(puzzle, size, 2, around, list(range(size))[::-1]) == [solution]
        assert all(digit in (-1, answer) for digit, answer in zip(puzzle, solution, strict=True))
        assert all(solution[cell] != solution[other] for cell in range(size**2) for other in around[cell])


def test_a_sudoku_of_an_unknown_side_is_refused() -> None:
    with pytest.raises(ValueError, match="choose 4 or 6"):
        sudoku.puzzles(9, 1, np.random.default_rng(0))


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_no_test_instance_occurs_in_training_or_twice(name: str, size: int) -> None:
    train, test = tasks.train_and_test(name, size, 256, 64)
    rows = {row.tobytes() for row in test.tokens}
    assert len(rows) == len(test) > 0
    assert not rows & {row.tobytes() for row in train.tokens}


def test_test_instances_that_occur_in_training_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    same = tasks.maze(5, 16, np.random.default_rng(0))
    other = tasks.maze(5, 8, np.random.default_rng(1))
    both = tasks.joined([same, other], 24)
    made = iter([same, both])
    chosen = tasks.Task("maze", 5, 26, 4, 17, 5, lambda count, generator: next(made))
    monkeypatch.setattr(tasks, "task", lambda name, size: chosen)
    _, test = tasks.train_and_test.__wrapped__("maze", 5, 16, 24)
    assert (test.tokens == other.tokens).all()


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_position_0_holds_the_start_token_alone_and_asks_nothing(name: str, size: int) -> None:
    instances, _ = tasks.train_and_test(name, size, 64, 64)
    assert (instances.tokens[:, 0] == tasks.START).all()
    assert (instances.tokens[:, 1:] != tasks.START).all()
    assert (instances.answers[:, 0] == tasks.IGNORED).all()
    chosen = tasks.task(name, size)
    assert instances.tokens.shape[1] == chosen.length
    assert instances.tokens.max() < chosen.symbols
    assert instances.answers.max() < chosen.classes


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_all_variants_have_equal_parameters_within_two_percent(name: str, size: int) -> None:
    chosen = tasks.task(name, size)
    counts = [parameter_count(variant.build(chosen, Thinking())) for variant in VARIANTS.values()]
    assert max(counts) <= 1.02 * min(counts)


def test_an_instance_is_exact_only_with_every_answer_right() -> None:
    instances, _ = tasks.train_and_test("maze", 5, 64, 64)
    instances = instances.select(np.arange(4))
    right = torch.ones(4, 26, dtype=torch.bool)
    right[:, 0] = False  # nothing is asked at the start token
    assert score(right, instances, 5).exact == 1.0
    right[0, np.flatnonzero(instances.answers[0] != tasks.IGNORED)[0]] = False
    assert score(right, instances, 5).exact == 0.75


def test_the_quick_run_ends_with_a_table_and_does_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "out.jsonl"
    arguments = ["--quick", "--task", "pointers", "--size", "16", "--seeds", "0", "--json", str(results)]
    command.main(arguments)
    first = capsys.readouterr().out
    assert first.count("| pointers 16 |") == len(VARIANTS)
    assert "nan" not in first
    assert all(math.isfinite(result["loss"]) for result in read(results))
    command.main(arguments)
    again = capsys.readouterr().out
    assert "seed 0:" not in again
    assert again.splitlines() == [line for line in first.splitlines() if line.startswith("|")]


def test_a_sweep_resumes_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    runs = planned("maze", 5, ["hrm", "plain"], [0, 1], Thinking(), Schedule())
    carried_out = []

    def pretend(run):
        carried_out.append((run.variant, run.seed))
        return {"run": run.key}

    assert len(list(sweep(runs[:3], path, pretend))) == 3
    path.write_text(path.read_text()[:-10])
    list(sweep(runs, path, pretend))
    assert carried_out == [("hrm", 0), ("plain", 0), ("hrm", 1), ("hrm", 1), ("plain", 1)]
    assert [result["run"] for result in read(path)] == [run.key for run in runs]


def made(instances: tasks.Instances) -> tuple[tasks.Ints, tasks.Ints]:
    return instances.tokens, instances.answers
