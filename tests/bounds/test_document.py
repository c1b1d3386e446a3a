"""JSON text and files of settings within their bounds."""

from __future__ import annotations

import json

import pytest

from aegis.bounds import LEVELS, parse_json, read_json, read_text
from aegis.config.plan import TrainingPlan
from aegis.errors import CheckpointError, ConfigError, DataError
from aegis.hrm import read_document


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_json_of_honest_depth_is_parsed_and_deeper_json_is_refused():
    assert parse_json(nested(LEVELS)) is not None
    for levels in (LEVELS + 2, 900, 200_000):
        with pytest.raises(DataError, match="nested too deeply"):
            parse_json(nested(levels))
    with pytest.raises(json.JSONDecodeError):
        parse_json("{")


def test_a_deep_document_is_an_error_of_the_reader_that_meets_it(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"config": ' + nested(100_000) + "}")
    with pytest.raises(CheckpointError, match="nested too deeply"):
        read_document(path)
    with pytest.raises(ConfigError, match="nested too deeply"):
        TrainingPlan.from_json(nested(100_000))


def test_a_document_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text("[1, 2]")
    assert read_json(path) == [1, 2]
    with pytest.raises(DataError, match="larger than"):
        read_text(path, most=5)
