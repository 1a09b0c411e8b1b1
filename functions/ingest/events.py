"""From a raw body to usage events: CloudEvents 1.0 in JSON, one or a batch (contract, Metering)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import ConfigDict, Field, StrictBool, StrictStr, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json

MAX_EVENTS = 1000
MAX_BYTES = 1024 * 1024
_ECHOED_ID_CHARACTERS = 256
_MAX_DIGITS = 1000

Name = Annotated[StrictStr, Field(min_length=1, max_length=256)]
ShortName = Annotated[StrictStr, Field(min_length=1, max_length=128)]


@with_config(ConfigDict(extra="forbid"))
class UsageData(TypedDict):
    """One call. Absent and null are the same."""

    interface: Name
    result_code: ShortName
    library: NotRequired[StrictStr | None]
    mode: NotRequired[StrictStr | None]
    intention_verify: NotRequired[StrictBool | None]
    sub_account: NotRequired[ShortName | None]


@with_config(ConfigDict(extra="ignore"))
class UsageEvent(TypedDict):
    """A CloudEvent that reports one call. `datacontenttype` and extension attributes are ignored."""

    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Literal["faceid.call"]
    subject: Name
    time: Annotated[StrictStr, Field(max_length=64)]
    data: UsageData


class MalformedBodyError(Exception):
    """The body is not JSON in UTF-8."""


class WrongShapeError(Exception):
    """The body is JSON, but neither a batch nor an event."""


class TooManyEventsError(Exception):
    """The batch has more than `MAX_EVENTS` events."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that cannot be taken, and why."""

    index: int
    event_id: str | None
    code: str
    detail: str


class _DuplicateNames:
    """Stands for a JSON object that gives one of its names twice: no one can say which value was meant."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        self.pairs = pairs


class _AsRead(dict[str, object]):
    """An object that is written with all the names that were read, twice where they were given twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self) -> Any:
        """What the encoder asks for."""
        return self._pairs


_EVENT: TypeAdapter[UsageEvent] = TypeAdapter(UsageEvent)
_EVENTS: TypeAdapter[list[UsageEvent]] = TypeAdapter(list[UsageEvent])


def parse_body(raw: bytes | str, *, batch: bool) -> list[object]:
    """The JSON values that should be events.

    Raises MalformedBodyError, WrongShapeError (a batch is an array, an event an object) or TooManyEventsError.
    """
    try:
        # Left to itself, `json.loads` takes UTF-16 and encoded surrogates too.
        text = raw.decode() if isinstance(raw, bytes) else raw
        body = _plain_batch(text) if batch else None
        if body is None:
            body = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_bounded_int)
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError from error
    events = body if batch else [body]
    if not isinstance(events, list) or (not batch and not isinstance(body, dict | _DuplicateNames)):
        raise WrongShapeError
    if len(events) > MAX_EVENTS:
        raise TooManyEventsError
    return events


def _plain_batch(text: str) -> list[object] | None:
    """A batch of events that has nothing special about it, in half the time; None where it takes a closer look.

    No name is given twice where the text has as many names (a quote, then a colon) as the events that were read. Text
    within strings can only raise that number, and spaces before a colon, which could hide a name, are not plain.
    """
    if any(gap in text for gap in (" :", "\t:", "\n:", "\r:")):
        return None
    try:
        batch: Any = from_json(text, allow_inf_nan=False)
        plain = type(batch) is list and all(type(one) is dict and type(one["data"]) is dict for one in batch)
    except (ValueError, TypeError, KeyError):
        return None
    if not plain or sum(len(event) + len(event["data"]) for event in batch) != text.count('":'):
        return None
    plain_batch: list[object] = batch
    return plain_batch


def write_body(values: list[object]) -> str:
    """A batch of values as `parse_body` read them, the wrong ones included."""
    return json.dumps(values, default=lambda value: _AsRead(value.pairs))


def check_shape(values: list[object]) -> tuple[list[tuple[int, UsageEvent]], list[Rejected]]:
    """Which values are events of the right shape, by index, and what is wrong with the others."""
    try:
        # The usual case: all are in order, and one call into the validator says so.
        return list(enumerate(_EVENTS.validate_python(values))), []
    except ValidationError:
        return _check_each(values)


def _check_each(values: list[object]) -> tuple[list[tuple[int, UsageEvent]], list[Rejected]]:
    events: list[tuple[int, UsageEvent]] = []
    rejected: list[Rejected] = []
    for index, value in enumerate(values):
        try:
            events.append((index, _EVENT.validate_python(value)))
        except ValidationError as error:
            rejected.append(Rejected(index, echoed_id(value), "invalid_event", _describe(value, error)))
    return events, rejected


def echoed_id(value: object) -> str | None:
    """The event's id as far as it can be given back in an answer."""
    event_id = value.get("id") if isinstance(value, dict) else None
    if not isinstance(event_id, str):
        return None
    return event_id[:_ECHOED_ID_CHARACTERS].encode(errors="replace").decode()


def _describe(value: object, error: ValidationError) -> str:
    """What is wrong, without the values, which may be personal."""
    if isinstance(value, _DuplicateNames) or (
        isinstance(value, dict) and isinstance(value.get("data"), _DuplicateNames)
    ):
        return "a JSON object gives a name twice"
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    first = [f"{'.'.join(map(str, problem['loc'])) or 'event'}: {problem['msg']}" for problem in problems[:3]]
    return "; ".join(first)[:500].encode(errors="replace").decode()


def _object(pairs: list[tuple[str, object]]) -> object:
    named = dict(pairs)
    return named if len(named) == len(pairs) else _DuplicateNames(pairs)


def _bounded_int(digits: str) -> object:
    """A number of absurd length is no number that anybody counts with, and must not spoil the rest of the batch."""
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


def _no_constant(name: str) -> object:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII)


def parse_instant(text: str) -> tuple[int, str] | None:
    """An RFC 3339 time as whole epoch seconds and the digits of its fraction, without trailing zeros.

    Exact at any precision, so that two notations of one instant are one event. None where it is no such time.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, offset = match.groups()
    seconds = _epoch_seconds(f"{day}T{time}{'+00:00' if offset in 'Zz' else offset}")
    return None if seconds is None else (seconds, (fraction or "").rstrip("0"))


@lru_cache(maxsize=4096)
def _epoch_seconds(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        return None
