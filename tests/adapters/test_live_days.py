"""Day totals: one query of the live table says what every recent day comes to by tag (design, Live totals)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import count, pairwise
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aws_platform import keys, live, live_days, records
from aws_platform.failures import TryAgainError
from aws_platform.settings import Settings
from rating.catalog import UnknownInterface, load
from rollup.handler import roll_up
from tests.support.product import Product, stream_record

NOON = 12 * 60
DAY = date(2025, 3, 10)
SETTINGS = Settings(live_table="live")
KINDS = (1, 2, 3, 9)
"""Interfaces of the catalog, by number: some of one tag, some of others."""


@dataclass(frozen=True)
class Call:
    """One call, as a record of a bucket has it."""

    day: date
    minute: int
    kind: int = 1
    chargeable: bool = True
    source: str = "/a"

    @property
    def bucket(self) -> tuple[date, str]:
        """Where it is stored: all calls of a minute here have the same ten seconds."""
        return self.day, records.bucket_key(self.minute * live.WINDOW_SLOTS, self.source, 0)

    @property
    def data(self) -> bytes:
        """What is stored; whose call it is does not matter to totals."""
        dimensions = records.Dimensions(self.kind, self.chargeable, code=1, sub_account=0).pack()
        return bytes(records.IDENTITY_BYTES) + records.pack_data(dimensions, 0, "", "0")


def told(account_id: str, calls: Iterable[Call]) -> list[dict[str, Any]]:
    """What the stream tells while these calls are stored one by one."""
    buckets: dict[tuple[date, str], bytes] = defaultdict(bytes)
    found = []
    for call in calls:
        buckets[call.bucket] += call.data
        day, sort_key = call.bucket
        image = {"pk": {"S": keys.usage_day(account_id, day)}, "sk": {"S": sort_key}, "r": {"B": buckets[call.bucket]}}
        found.append(stream_record(image))
    return found


def counted(calls: Iterable[Call]) -> dict[date, dict[int, int]]:
    """The chargeable ones by day and tag number, and every day that has any call."""
    totals: dict[date, Counter[int]] = {}
    for call in calls:
        totals.setdefault(call.day, Counter())[load().interface(call.kind).tag_number] += call.chargeable
    return {day: dict(+numbers) for day, numbers in totals.items()}


def take(product: Product, account_id: str, *calls: Call) -> None:
    """Have the stream of these calls taken, one record after the other."""
    for record in told(account_id, calls):
        roll_up([record], product.dynamodb, SETTINGS)


def totals(product: Product, account_id: str = "a") -> dict[date, dict[int, int]]:
    """What the table says of an account's days."""
    return live.totals_by_day(product.dynamodb, "live", account_id)


def items(product: Product, account_id: str = "a") -> dict[str, Mapping[str, Any]]:
    """Windows and digest by sort key."""
    found = product.dynamodb.query(
        TableName="live",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": keys.windows(account_id)}},
    )
    return {item["sk"]["S"]: item for item in found["Items"]}


class Spy:
    """A client that remembers its calls, and may do something before one of them."""

    def __init__(self, client: Any, before: Callable[[str], None] = lambda _: None) -> None:
        self.client = client
        self.before = before
        self.calls: list[tuple[str, dict[str, Any], Any]] = []

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.before(name)
            answer = getattr(self.client, name)(**arguments)
            self.calls.append((name, arguments, answer))
            return answer

        return call

    @property
    def names(self) -> list[str]:
        """The operations that were called."""
        return [name for name, _, _ in self.calls]


# --- any order ------------------------------------------------------------------------------------------------

_ACCOUNTS = (f"any-{number}" for number in count())
_MINUTES = st.sampled_from([0, 1, 3, 4, 5, NOON, NOON + 1, NOON + 3, NOON + 4, NOON + 9, 1430, 1436, 1438, 1439])
_CALLS = st.builds(
    Call,
    st.integers(0, 3).map(lambda number: DAY + timedelta(number)),
    _MINUTES,
    st.sampled_from(KINDS),
    st.booleans(),
    st.sampled_from(["/a", "/b"]),
)


@st.composite
def _deliveries(draw: st.DrawFn) -> tuple[list[Call], list[list[int]]]:
    """Calls, and batches of the numbers of what the stream tells: in any order, some twice."""
    calls = draw(st.lists(_CALLS, min_size=1, max_size=10))
    again = draw(st.lists(st.integers(0, len(calls) - 1), max_size=6))
    numbers = draw(st.permutations([*range(len(calls)), *again]))
    cuts = sorted(draw(st.sets(st.integers(1, len(numbers)), max_size=6)) | {0, len(numbers)})
    return calls, [numbers[start:end] for start, end in pairwise(cuts)]


@pytest.fixture(scope="module")
def shared(cloud: Product) -> Product:
    """A product for many examples: each has an account of its own."""
    return cloud


@settings(max_examples=settings().max_examples // 8)  # moto takes its time
@given(delivered=_deliveries())
def test_any_order_and_batches(shared: Product, delivered: tuple[list[Call], list[list[int]]]) -> None:
    """However the stream brings them, the totals by day and tag are those of a plain count."""
    calls, batches = delivered
    account_id = next(_ACCOUNTS)
    stream = told(account_id, calls)
    for batch in batches:
        roll_up([stream[number] for number in batch], shared.dynamodb, SETTINGS)
    assert totals(shared, account_id) == counted(calls)
    before = items(shared, account_id)
    roll_up(stream, shared.dynamodb, SETTINGS)
    assert items(shared, account_id) == before


# --- what is asked for ----------------------------------------------------------------------------------------


def test_nothing_used(product: Product) -> None:
    """An account without usage has no days."""
    assert totals(product) == {}


def test_a_day_without_chargeable_calls(product: Product) -> None:
    """A day of calls that are not charged is there, with nothing in it."""
    take(product, "a", Call(DAY, NOON, chargeable=False), Call(DAY + timedelta(1), NOON, chargeable=False))
    assert totals(product) == {DAY: {}, DAY + timedelta(1): {}}


def test_days_that_are_too_old(product: Product) -> None:
    """Days are known for 70 days before the newest one, and then go, from the digest too."""
    calls = [Call(DAY + timedelta(number), NOON) for number in (0, 1, 69, 70, 71)]
    take(product, "a", *calls[:-1])
    assert totals(product) == counted(calls[:-1])
    take(product, "a", calls[-1])
    assert totals(product) == counted(calls[1:])
    take(product, "a", replace(calls[0], minute=0))
    assert totals(product) == counted(calls[1:])
    assert live_days.digest_of(items(product)[keys.DIGEST]).days.keys() == {call.day for call in calls[1:-1]}


def busy(days: int) -> Iterator[Call]:
    """Days of several tags; of the last one many minutes are in use."""
    for number in range(days):
        for minute in (NOON,) if number < days - 1 else (0, *range(NOON, NOON + 7)):
            yield from (Call(DAY + timedelta(number), minute, kind) for kind in KINDS)


def test_one_query(product: Product) -> None:
    """Seventy days of several tags are one query of less than 8 KB: one read unit, where it need not be consistent."""
    calls = list(busy(70))
    roll_up(told("a", calls), product.dynamodb, SETTINGS)
    for consistent in (True, False):
        spy: Any = Spy(product.dynamodb)
        assert live.totals_by_day(spy, "live", "a", consistent=consistent) == counted(calls)
        ((name, arguments, answer),) = spy.calls
        assert (name, arguments["ConsistentRead"]) == ("query", consistent)
        whole = items(product)
        assert sum(size_of(whole[item["sk"]["S"]]) for item in answer["Items"]) < 8192


def size_of(item: Mapping[str, Any]) -> int:
    """About the bytes that DynamoDB counts."""
    return sum(len(name) + len(text) for name, value in item.items() for text in value.values())


def test_pages_cut_short(product: Product) -> None:
    """Where DynamoDB answers with less than was asked for, the rest is asked for."""

    class Short(Spy):
        def __getattr__(self, name: str) -> Any:
            return lambda **query: getattr(self.client, name)(**{**query, "Limit": 1})

    calls = list(busy(2))
    take(product, "a", *calls)
    short: Any = Short(product.dynamodb)
    assert live.totals_by_day(short, "live", "a") == counted(calls)


# --- what it costs --------------------------------------------------------------------------------------------


def cost(product: Product, *calls: Call) -> list[str]:
    """The calls of AWS that taking these takes."""
    spy: Any = Spy(product.dynamodb)
    for record in told("a", calls):
        roll_up([record], spy, SETTINGS)
    names: list[str] = spy.names
    return names


def test_calls_of_a_window(product: Product) -> None:
    """A window costs a read, a write and a look; only a day's first one, or one far back, costs more."""
    usual = ["query", "put_item", "query"]
    take(product, "a", Call(DAY, NOON))
    assert cost(product, Call(DAY, NOON + 1)) == usual
    assert cost(product, Call(DAY, NOON + 1, source="/b")) == usual
    assert cost(product, Call(DAY, NOON - 2, source="/b")) == usual
    assert cost(product, Call(DAY, NOON - 2, source="/b")) == ["query", "query"]
    assert cost(product, Call(DAY + timedelta(1), NOON)) == ["query", "get_item", "put_item", "put_item", "query"]
    assert cost(product, Call(DAY, NOON + 1, source="/c")) == [*usual, "query", "put_item"]
    far = cost(product, Call(DAY + timedelta(1), NOON - 60))
    assert far.count("put_item") == 2
    assert totals(product) == {DAY: {1: 5}, DAY + timedelta(1): {1: 2}}


# --- what goes wrong ------------------------------------------------------------------------------------------


def test_an_interface_that_the_catalog_does_not_have(product: Product) -> None:
    """A call of an interface that is not known yet fails its batch, which comes again; nothing is left out."""
    with pytest.raises(UnknownInterface):
        take(product, "a", Call(DAY, NOON, kind=records.MAX_KIND))
    assert items(product) == {}


def test_without_an_end_to_contention(product: Product) -> None:
    """Where others are always faster the batch fails after some tries, and comes again."""
    take(product, "a", Call(DAY, NOON), Call(DAY, NOON + 9))
    with (
        mock.patch.object(live_days.AccountDays, "_put", return_value=False),
        pytest.raises(TryAgainError, match="one window"),
    ):
        take(product, "a", Call(DAY, NOON + 9, source="/b"))
    with (
        mock.patch.object(live_days.AccountDays, "_mend", return_value=None),
        pytest.raises(TryAgainError, match="one day"),
    ):
        take(product, "a", Call(DAY, NOON, source="/b"))
    with (
        mock.patch.object(live_days.AccountDays, "_put_digest", return_value=False),
        pytest.raises(TryAgainError, match="digest"),
    ):
        take(product, "a", Call(DAY + timedelta(1), NOON))


@pytest.mark.parametrize("sandbox", [False, True])
def test_when_the_digest_may_go(product: Product, *, sandbox: bool) -> None:
    """The digest goes with the account's newest day, and never in a sandbox."""
    last = DAY + timedelta(30)
    for record in told("a", [Call(DAY, NOON), Call(last, NOON), Call(DAY, NOON)]):
        roll_up([record], product.dynamodb, replace(SETTINGS, sandbox=sandbox))
    expires_at = live.expiry(last, sandbox=sandbox)
    found = items(product)[keys.DIGEST].get("expires_at")
    assert found == (None if sandbox else {"N": str(expires_at)})
