"""Reading usage events: JSON, shapes and instants (contract, Metering)."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.events import (
    MalformedBodyError,
    TooManyEventsError,
    WrongShapeError,
    check_shape,
    echoed_id,
    parse_body,
    parse_instant,
    write_body,
)

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/gateway-1",
    "type": "faceid.call",
    "subject": "acct-1",
    "time": "2025-03-01T10:00:00+08:00",
    "data": {"interface": "face_risk", "result_code": "0"},
}
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=OFFSETS)  # noqa: DTZ001 - strategy bounds
DIGITS = st.text("0123456789", min_size=1, max_size=30)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(INSTANTS, DIGITS, st.sampled_from("Tt"), st.booleans())
def test_an_instant_is_whole_seconds_and_the_digits_of_its_fraction(
    instant: datetime,
    fraction: str,
    letter: str,
    zulu: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """Any notation of an instant reads as its epoch seconds and its fraction without trailing zeros."""
    whole = instant.replace(microsecond=0)
    shown = whole.astimezone(UTC) if zulu else whole
    text = shown.isoformat().replace("T", letter)
    text = f"{text[:19]}.{fraction}{'Z' if zulu else text[19:]}"
    epoch = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    assert parse_instant(text) == (epoch, fraction.rstrip("0"))


@given(st.text(max_size=70) | st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d*)?([Zz]|[+-]\d\d:\d\d)?"))
def test_any_text_is_an_instant_or_none(text: str) -> None:
    """Whatever is given as a time, reading it never fails in another way."""
    found = parse_instant(text)
    assert found is None or isinstance(found[0], int)


@given(st.lists(JSON, max_size=5))
def test_values_are_written_as_they_were_read(values: list[object]) -> None:
    """What is put aside holds the same values as what came."""
    assert parse_body(write_body(values), batch=True) == values


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), st.booleans())
def test_a_body_is_read_or_refused(raw: bytes, batch: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Any bytes are a list of values or one of three refusals."""
    with contextlib.suppress(MalformedBodyError, WrongShapeError, TooManyEventsError):
        assert isinstance(parse_body(raw, batch=batch), list)


@given(st.lists(st.just(EVENT) | JSON | st.dictionaries(st.sampled_from(sorted(EVENT)), JSON), max_size=6))
def test_a_batch_is_judged_as_its_events_are(values: list[object]) -> None:
    """The one call that validates a whole batch and the one that validates each event agree."""
    events, rejected = check_shape(values)
    one_by_one = [check_shape([value]) for value in values]
    assert [index for index, _ in events] == [index for index, (good, _) in enumerate(one_by_one) if good]
    assert [(one.index, one.detail) for one in rejected] == [
        (index, bad[0].detail) for index, (_, bad) in enumerate(one_by_one) if bad
    ]


@given(JSON)
def test_what_is_echoed_can_be_answered(value: object) -> None:
    """An id is given back as text that fits an answer, or not at all."""
    for given_ in (value, {"id": value}):
        echoed = echoed_id(given_)
        assert echoed is None or len(echoed.encode()) <= 4 * 256


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1, "a": 1}]',
        '[{"a": {"b": [1, {"c": 1, "c": {"d": 2, "d": 3}}]}}]',
        '[{"a": "\\ud800", "a": "\\u0000"}]',
    ],
)
def test_names_given_twice_are_written_twice(text: str) -> None:
    """An object of which no one can say what was meant is put aside as it came."""
    assert write_body(parse_body(text, batch=True)) == text


def test_one_more_event_than_a_batch_may_have() -> None:
    """1,000 values are a batch, 1,001 are not, whatever they are."""
    assert len(parse_body(json.dumps([0] * 1000), batch=True)) == 1000
    with pytest.raises(TooManyEventsError):
        parse_body(json.dumps([0] * 1001), batch=True)


def test_a_name_given_twice_is_seen_beside_what_would_make_up_for_it() -> None:
    """The quick look at a plain batch is not deceived by other values that have a length."""
    twice = '{"id": "a", "id": "b", "data": {"interface": "x"}}'
    for other in ('{"data": "x"}', '{"data": [1]}', '["data"]', '"data"', '{"data": {}, "x": {"y": 1}}'):
        for text in (f"[{twice}, {other}]", f"[{other}, {twice}]"):
            values = parse_body(text, batch=True)
            assert any(type(value).__name__ == "_DuplicateNames" for value in values), text


def test_a_batch_of_a_plain_object_is_no_batch() -> None:
    """An object is not taken for a batch by either way of reading."""
    with pytest.raises(WrongShapeError):
        parse_body('{"data": {"data": {}}}', batch=True)
