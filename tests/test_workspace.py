"""The folders of an agent and of its decision points, and how a command names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis.errors import ConfigError
from aegis.workspace import DEFAULT_WORKSPACE, Workspace, to_point_name


def test_a_points_workspace_knows_its_name_and_the_options_that_find_it():
    agent = Workspace(Path("mine"))
    assert (agent.point_name, agent.options) == (None, " --workspace mine")
    point = agent.point("router")
    assert (point.point_name, point.options) == ("router", " --workspace mine --point router")
    assert Workspace(DEFAULT_WORKSPACE).point("router").options == " --point router"


def test_only_points_with_a_database_are_listed(tmp_path):
    agent = Workspace(tmp_path)
    for name in ("b", "a", "empty"):
        agent.point(name).folder.mkdir(parents=True)
    for name in ("b", "a"):
        agent.point(name).database.touch()
    assert agent.points() == ["a", "b"]


@pytest.mark.parametrize("name", ["", "../up", "a b", ".hidden", "x" * 65])
def test_a_name_that_is_no_plain_folder_name_is_refused(name):
    with pytest.raises(ConfigError, match="use up to 64 letters"):
        Workspace(Path("w")).point(name)


def test_letters_outside_ascii_make_a_point_name_that_is_one_and_no_others():
    names = ["route_team", "Größe-größe", "Grösse-größe", "チーム", "点", "é" * 80]
    found = [to_point_name(name) for name in names]
    assert found[0] == "route_team"
    assert found[1].startswith("Groe-groe-")
    assert len(set(found)) == len(names)
    assert [Workspace(Path("w")).point(name).point_name for name in found] == found
