"""A file opened and its format recognised, or refused with what to do."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import DataError
from aegis.formats import FORMATS, Fields, read_decisions
from aegis.formats.file import _PARSERS

KEYS = ["request", "response", "messages", "role", "content", "tools", "function", "name", "choices", "message"]
KEYS += ["tool_calls", "attributes", "parts", "type", "gen_ai.input.messages", "gen_ai.output.messages", "input"]
KEYS += ["label", "state", "action", "enum", "properties", "response_format", "json_schema", "schema", "resourceSpans"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(value=JSON)
def test_whatever_a_line_holds_the_next_one_is_read(value, tmp_path_factory):
    for form in (*_PARSERS, "plain"):
        path = tmp_path_factory.mktemp("any") / "log.jsonl"
        path.write_text('{"odd": 1}\n' + json.dumps(value) + "\n" + '{"odd": 2}\n', "utf-8")
        reading = read_decisions(path, form, Fields())
        list(reading.decisions)
        assert reading.lines == 3 - (form == "aegis" and isinstance(value, dict) and "metadata" in value)


def test_lines_that_are_not_json_are_refused_and_the_rest_is_read(read):
    good = {"input": "x", "label": "a"}
    reading, decisions = read(good, '{"input": "x", "la', good)
    assert (len(decisions), reading.lines, reading.refused) == (2, 3, 1)
    assert reading.first_refused[0].position == "line 2"
    assert "not JSON" in reading.first_refused[0].reason


def test_all_refused_lines_are_counted_and_the_first_ones_kept(read):
    reading, _ = read({"input": "x", "label": "a"}, *["{}"] * 150)
    assert (reading.refused, len(reading.first_refused)) == (150, 100)


def test_a_named_format_is_not_guessed(read):
    reading, decisions = read({"state": {"a": 1}, "action": "go", "label": "stop"}, form="plain")
    assert reading.format == "plain"
    assert [one.action for one in decisions] == ["stop"]


@pytest.mark.parametrize(
    ("content", "form", "said"),
    [
        (b"", "auto", "the file is empty"),
        (b'{"odd": 1}\n', "auto", "of an unknown format: name it with --format"),
        (b'{"input": "\xff"}\n', "auto", "not UTF-8"),
        (b'{"a": 1}\n', "xml", "format 'xml': give auto, openai"),
        (b'{\n "input": 1,\n "label"\n', "auto", "not JSON"),
    ],
)
def test_a_file_out_of_form_is_refused_and_says_what_to_do(tmp_path, content, form, said):
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_decisions(path, form).decisions)
    assert said in str(caught.value)


def test_a_missing_file_and_half_a_packed_one_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_decisions(tmp_path / "none.jsonl")
    half = tmp_path / "half.jsonl.gz"
    half.write_bytes(gzip.compress(b'{"input": "x", "label": "a"}\n' * 1000)[:-20])
    with pytest.raises(DataError, match="not a whole gzip file"):
        list(read_decisions(half).decisions)


def test_each_format_has_a_parser_or_is_the_table():
    assert set(FORMATS) == {*_PARSERS, "csv", "plain"}


def test_an_empty_line_is_no_record_and_a_line_that_was_cut_off_is_called_so(read):
    good = {"input": "x", "label": "a"}
    reading, decisions = read(good, "", good, '{"input": "x", "la', '{"input": "x",', "  ", '{"input": }')
    assert (len(decisions), reading.lines) == (2, 5)
    assert [(one.position, one.reason) for one in reading.first_refused] == [
        ("line 4", "not JSON: cut off after 18 characters"),
        ("line 5", "not JSON: cut off after 14 characters"),
        ("line 7", "not JSON: Expecting value at character 11"),
    ]


@pytest.mark.parametrize("before", [1, 5000])
def test_bytes_that_are_not_utf_8_are_named_by_their_line(tmp_path, before):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"input": "x", "label": "a"}\n' * before + b'{"input": "\xe4", "label": "a"}\n' * 2)
    with pytest.raises(DataError, match=f"log.jsonl, line {before + 1}: not UTF-8 text"):
        list(read_decisions(path).decisions)
