from __future__ import annotations

from aegis.hrm import ReadingCount, ReadingReport, StateCodec


def count(codec, states):
    reading = ReadingCount(codec)
    for state in states:
        reading.add(codec.read(state))
    return reading.report()


def test_states_that_were_cut_are_counted_with_their_share():
    text = "word " * 199
    states = [{"n": 1}, {"n": 2}, {"text": text}]
    codec = StateCodec(101)
    report = count(codec, states)
    assert codec.read({"text": text}).tokens == 201
    assert report == ReadingReport(3, 101, 1, 1 - 101 / 201, {})
    assert report.notes == []
    assert report.warnings == [
        "1 of 3 states were cut to 101 tokens (on average 50% of their text): raise --max-tokens, or leave fields out"
        " with --exclude (of a point that is served: max_tokens, exclude)"
    ]


def test_states_that_fit_give_no_warning():
    report = count(StateCodec(), [{"n": 1}])
    assert report.warnings == report.notes == []
    assert report.cut_share == 0


def test_fields_left_out_are_counted_and_a_field_that_no_state_has_is_warned_about():
    codec = StateCodec(exclude=("a", "b.c"), rename={"b": "B", "typo": "c"})
    report = count(codec, [{"a": 1}, {"a": 2, "b": '{"c": 1}'}, {}])
    assert report.left_out == {"a": 2, "b.c": 0}
    assert report.notes == ["a: left out of 2 of 3 states"]
    assert report.renamed == {"b": 1, "typo": 0}
    within = "; a field within a text that holds JSON can't be named"
    assert report.warnings == [
        f"--exclude b.c: none of 3 states has this field: check the path{within}",
        "--rename typo: none of 3 states has this field: check the path",
    ]


def test_a_report_is_restored_from_its_record():
    report = count(StateCodec(4, exclude=("a",)), [{"a": 1, "text": "one two three four"}])
    assert ReadingReport(**report.to_record()) == report
