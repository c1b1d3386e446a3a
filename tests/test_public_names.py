"""The names that `import aegis` gives are there, and a type checker knows each of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import aegis

LAZY = (*aegis._DOOR, *aegis._ROOMS, *aegis._OTHERS)


@pytest.mark.parametrize("name", LAZY)
def test_a_public_name_is_imported_when_it_is_first_asked_for(name):
    assert getattr(aegis, name) is not None
    assert name in dir(aegis)


def test_a_type_checker_sees_the_same_names_and_no_others():
    tree = ast.parse(Path(aegis.__file__).read_text(encoding="utf-8"))
    (block,) = [one for one in tree.body if isinstance(one, ast.If)]
    seen = {alias.asname for one in block.body if isinstance(one, ast.ImportFrom) for alias in one.names}
    assert seen == set(LAZY)
    # Beside a module's `__getattr__` a checker would take every name for anything.
    assert not [
        one for one in [*tree.body, *block.body] if isinstance(one, ast.FunctionDef) and one.name == "__getattr__"
    ]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(aegis, "Nothing")  # noqa: B009
