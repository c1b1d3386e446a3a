"""`aegis doctor` repairs or names what is damaged, and makes nothing worse (`python -m benchmarks.doctor`: 200)."""

from __future__ import annotations

import pytest

from benchmarks.doctor import run


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_a_damaged_workspace_is_repaired_or_named_and_never_made_worse(tmp_path, count):
    results = run(count, seed=1, folder=tmp_path)
    assert [one for one in results if one.worse or one.result == "unseen"] == []
    assert {"repaired", "named"} <= {one.result for one in results}
