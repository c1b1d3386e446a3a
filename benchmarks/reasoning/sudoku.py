"""Sudoku of side 4 (boxes of 2 x 2) and 6 (boxes of 2 x 3), each puzzle with one solution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

BOX_WIDTH = {4: 2, 6: 3}
"""Columns of a box, by side; a box has 2 rows."""
GIVENS = {4: 5, 6: 20}
"""Digging stops at this number of givens, or earlier if a second solution would appear."""
VARIATIONS = 8
"""Puzzles made from each dug puzzle by the symmetries of the game."""


def peers(size: int) -> list[list[int]]:
    """Return, for each cell, the cells that must differ from it."""
    width = BOX_WIDTH[size]

    def units(cell: int) -> tuple[int, int, int]:
        row, column = divmod(cell, size)
        return row, size + column, 2 * size + row // 2 * 2 + column // width

    cells = range(size**2)
    return [[other for other in cells if other != cell and set(units(cell)) & set(units(other))] for cell in cells]


def solutions(givens: list[int], size: int, limit: int, around: list[list[int]], order: list[int]) -> list[list[int]]:
    """Return up to `limit` solutions by backtracking on the cell with the fewest candidates; -1 is an empty cell.

    order: the digits in the order in which they are tried.
    """
    grid = list(givens)
    found: list[list[int]] = []

    def search() -> None:
        best: list[int] | None = None
        place = -1
        for cell, digit in enumerate(grid):
            if digit >= 0:
                continue
            taken = {grid[other] for other in around[cell]}
            free = [candidate for candidate in order if candidate not in taken]
            if best is None or len(free) < len(best):
                best, place = free, cell
                if len(free) < 2:
                    break
        if best is None:
            found.append(list(grid))
            return
        for digit in best:
            grid[place] = digit
            search()
            if len(found) >= limit:
                break
        grid[place] = -1

    search()
    return found


def dig(size: int, around: list[list[int]], generator: np.random.Generator) -> tuple[list[int], list[int]]:
    """Return a puzzle and its solution: a random full grid, with cells emptied while a single solution is left."""
    full = [-1] * size**2
    full[:size] = generator.permutation(size).tolist()
    for cell in generator.permutation(np.arange(size, size**2))[:2].tolist():  # some chance below the first row too
        free = sorted(set(range(size)) - {full[other] for other in around[cell]})
        full[cell] = int(generator.choice(free))
    grids = solutions(full, size, 1, around, generator.permutation(size).tolist())
    if not grids:
        return dig(size, around, generator)
    givens = list(grids[0])
    left = size**2
    for cell in generator.permutation(size**2).tolist():
        if left == GIVENS[size]:
            break
        digit, givens[cell] = givens[cell], -1
        if len(solutions(givens, size, 2, around, list(range(size)))) > 1:
            givens[cell] = digit
        else:
            left -= 1
    return givens, grids[0]


def vary(size: int, grids: Ints, generator: np.random.Generator) -> Ints:
    """Return the grids, (2, n, n), under a random symmetry: digits renamed, bands, rows, stacks, columns permuted."""
    width = BOX_WIDTH[size]

    def shuffled(bands: int, thickness: int) -> Ints:
        rows = [band * thickness + generator.permutation(thickness) for band in generator.permutation(bands)]
        return np.concatenate(rows)

    names = np.append(generator.permutation(size), -1)  # index -1, an empty cell, stays empty
    moved = grids[:, shuffled(size // 2, 2)][:, :, shuffled(size // width, width)]
    return names[moved]


def puzzles(size: int, count: int, generator: np.random.Generator) -> tuple[Ints, Ints]:
    """Return (count, n * n) givens, -1 in empty cells, and their solutions; digits from 0."""
    if size not in BOX_WIDTH:
        raise ValueError(f"no Sudoku of side {size}: choose 4 or 6")
    around = peers(size)
    made: list[Ints] = []
    while len(made) < count:
        pair = np.array(dig(size, around, generator)).reshape(2, size, size)
        made.extend(vary(size, pair, generator).reshape(2, -1) for _ in range(min(VARIATIONS, count - len(made))))
    both = np.stack(made)  # (count, 2, n * n)
    return both[:, 0], both[:, 1]
