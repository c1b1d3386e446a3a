"""The runner, its search and its decisions, as the tests of the lifecycle have them."""

from __future__ import annotations

from tests.lifecycle.conftest import fake_search, fill, make_runner, make_search, teacher, workspace

__all__ = ["fake_search", "fill", "make_runner", "make_search", "teacher", "workspace"]
