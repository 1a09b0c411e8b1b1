"""What is stored reads back as what it was: bills, accounts, usage records, live windows, keys."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_platform import keys, live, live_days, records
from aws_platform.accounts import account_from_item, account_put, account_to_item
from aws_platform.bills import bill_from_item, bill_from_text, bill_to_item, bill_to_text
from aws_platform.settings import Settings
from rating.account import Account, Application, Contact, Merchant, Stage, Violation
from rating.arrears import Arrears
from rating.bill import Bill, BilledCharge, BilledLine, CountedSegment, TransactionType
from rating.billing import Line, Quantities
from rating.civil import ONE_DAY, month_of, rfc3339
from rating.funds import Fund
from rating.history import Interval
from rating.pricing import AppliedPrice
from tests.property.strategies import SECOND, days, decimals, fen, funds, instants, switches

TEXT = st.text(max_size=12)
ACCOUNT_IDS = st.text(alphabet="Aa09_-", min_size=1, max_size=5)
DAY = date(2025, 3, 10)

# --- bills ----------------------------------------------------------------------------------------------------

_COUNTS = st.integers(-(10**9), 10**9)
_PAYMENTS = st.dictionaries(st.sampled_from(list(Fund)), fen(-(10**12), 10**12))
_APPLIED = st.builds(
    AppliedPrice,
    unit_price=decimals(8),
    list_price=st.one_of(st.none(), decimals(4)),
    discount_rate=st.one_of(st.none(), decimals(4, 1, 10**4)),
    tier_from_calls=st.one_of(st.none(), st.integers(0, 10**6)),
)
_QUANTITIES = st.builds(Quantities, _COUNTS, _COUNTS, _COUNTS, _COUNTS, _COUNTS)


def _lines(tag: str) -> st.SearchStrategy[BilledLine]:
    line = st.builds(Line, st.just(tag), days(), days(), _QUANTITIES, _APPLIED)
    return st.builds(BilledLine, line, _PAYMENTS)


_CHARGES = st.sampled_from(["identity_check", "photo_v2"]).flatmap(
    lambda tag: st.builds(
        BilledCharge,
        st.just(tag),
        st.one_of(fen(-(10**12), 10**12), st.just(Decimal("0E-8"))),
        _PAYMENTS,
        st.lists(_lines(tag), min_size=1, max_size=2).map(tuple),
    )
)
_BILLS = st.builds(
    Bill,
    bill_id=st.text(alphabet="0123456789-", min_size=1, max_size=12),
    version=st.integers(1, 10**6),
    transaction_type=st.sampled_from(list(TransactionType)),
    charged_at=instants(),
    charge_month=days().map(month_of),
    first_day=days(),
    last_day=days(),
    charges=st.lists(_CHARGES, max_size=2).map(tuple),
    counted=st.lists(
        st.builds(CountedSegment, instants(), instants(), st.dictionaries(TEXT, _COUNTS, max_size=2)), max_size=2
    ).map(tuple),
    precision_difference=decimals(8, -(10**12), 10**12),
)


@given(_BILLS)
def test_a_bill_reads_back_as_it_was(bill: Bill) -> None:
    """Every field of a bill survives its text, amounts to the digit, and the text is stable."""
    text = bill_to_text(bill)
    again = bill_from_text(text)
    assert again == bill
    assert bill_to_text(again) == text
    assert (again.amount, again.details) == (bill.amount, bill.details)


@given(ACCOUNT_IDS, _BILLS)
def test_a_bill_is_found_by_charge_and_by_usage(account_id: str, bill: Bill) -> None:
    """Both sort keys begin with their month, then with the time of the charge or the day of the usage."""
    item = bill_to_item(account_id, bill)
    assert item["pk"]["S"] == keys.ledger(account_id)
    assert item["sk"]["S"].startswith(f"B#{bill.charge_month}#{rfc3339(bill.charged_at)}#")
    usage = bill.first_day.isoformat()
    assert item["usage_sk"]["S"].startswith(f"{usage[:7]}#{usage}#{rfc3339(bill.charged_at)}#")
    assert bill_from_item(item) == bill


@given(instants(), instants())
def test_bills_and_journal_pages_sort_as_time_does(one: datetime, other: datetime) -> None:
    """Text order of the keys is the order of the instants, whatever stands behind them."""

    def bill(when: datetime, bill_id: str) -> str:
        return keys.bill("2025-03", rfc3339(when), bill_id)

    assert (one < other) == (bill(one, "9") < bill(other, "0") and one != other)
    assert (one < other) == (keys.journal(rfc3339(one), 9) < keys.journal(rfc3339(other), 1) and one != other)


@given(st.integers(0, 10**10 - 1), st.integers(0, 10**10 - 1))
def test_journal_pages_of_one_second_sort_by_version(one: int, other: int) -> None:
    """Ten digits keep the order of the account's versions."""
    assert (one < other) == (keys.journal("t", one) < keys.journal("t", other))


SETTINGS = Settings(ledger_table="ledger", due_shards=4)

# --- accounts -------------------------------------------------------------------------------------------------

_MAYBE = st.one_of(st.none(), instants())
_ARREARS = st.one_of(
    st.none(),
    st.builds(Arrears, instants(), st.integers(1, 365).map(lambda days: ONE_DAY * days), st.booleans(), st.booleans()),
)
_ACCOUNTS = st.builds(
    Account,
    account_id=ACCOUNT_IDS,
    name=TEXT,
    created_at=instants(),
    enterprise_verified=st.booleans(),
    contact=st.builds(Contact, st.one_of(st.none(), TEXT), st.one_of(st.none(), TEXT), TEXT),
    stage=st.sampled_from(list(Stage)),
    application=st.one_of(st.none(), st.builds(Application, TEXT, st.one_of(st.none(), TEXT))),
    rejection_reason=st.one_of(st.none(), TEXT),
    opened_at=_MAYBE,
    moved_here=st.booleans(),
    postpaid=switches(DAY),
    violation=st.one_of(st.none(), st.builds(Violation, instants(), TEXT)),
    stops=st.lists(st.builds(Interval, instants(), _MAYBE), max_size=2).map(tuple),
    releases=st.lists(instants(), max_size=2).map(tuple),
    funds=funds(),
    arrears=_ARREARS,
    warned_on=st.one_of(st.none(), days()),
    settled_through=st.one_of(st.none(), days()),
    last_bill=st.one_of(st.none(), TEXT),
    merchants=st.lists(st.builds(Merchant, TEXT, instants()), max_size=2).map(tuple),
    parts=st.dictionaries(TEXT, st.integers(1, 10**9), max_size=2),
    moved_at=_MAYBE,
    version=st.integers(0, 10**9),
)


@given(_ACCOUNTS)
def test_an_account_reads_back_as_it_was(account: Account) -> None:
    """Every field of an account survives its item, and the item is stable."""
    item = account_to_item(account)
    again = account_from_item(item)
    assert again == account
    assert account_to_item(again) == item
    now = datetime.fromisoformat("2025-03-10T12:00:00+08:00")
    assert (again.status(now), again.cycle, again.conditions()) == (
        account.status(now),
        account.cycle,
        account.conditions(),
    )


@given(_ACCOUNTS, st.integers(-3, 3))
def test_only_the_next_version_replaces_an_account(account: Account, step: int) -> None:
    """A change that does not follow what it was based on is an error of the program."""
    after = Account(account.account_id, "B", account.created_at, version=account.version + step)
    if step == 1:
        put = account_put(SETTINGS, account, after)["Put"]
        assert put["ExpressionAttributeValues"] == {":seen": {"N": str(account.version)}}
        assert put["Item"]["version"] == {"N": str(account.version + 1)}
    else:
        with pytest.raises(ValueError, match="does not follow"):
            account_put(SETTINGS, account, after)


# --- records --------------------------------------------------------------------------------------------------

_DIMENSIONS = st.builds(
    records.Dimensions,
    kind=st.integers(0, records.MAX_KIND),
    chargeable=st.booleans(),
    code=st.integers(0, records.MAX_NAME),
    sub_account=st.integers(0, records.MAX_NAME),
)
_FEW_DIMENSIONS = st.sampled_from(
    [
        records.Dimensions(kind, chargeable=kind < 3, code=1, sub_account=sub).pack()
        for kind in range(1, 5)
        for sub in (0, 7)
    ]
)
_RECORDS = st.lists(
    st.tuples(st.integers(0, 10**6), _FEW_DIMENSIONS, st.integers(0, records.SLOT_SECONDS - 1)), max_size=12
)


def _bytes(given_: list[tuple[int, int, int]]) -> bytes:
    return b"".join(
        records.identity("/gateway", str(number), 0, "") + records.pack_data(dimensions, second, "team", "0")
        for number, dimensions, second in given_
    )


@given(_DIMENSIONS)
def test_dimensions_are_32_bits_and_read_back(dimensions: records.Dimensions) -> None:
    """Interface, chargeability, code and sub-account each have their own bits."""
    packed = dimensions.pack()
    assert 0 <= packed < 2**32
    assert records.unpack_dimensions(packed) == dimensions


@given(_DIMENSIONS, st.integers(0, records.SLOT_SECONDS - 1), TEXT, TEXT)
def test_a_record_is_counted_under_its_dimensions_and_second(
    dimensions: records.Dimensions, second: int, sub_account: str, code: str
) -> None:
    """One record is 18 bytes, and counts once where it belongs, whatever its names are."""
    content = records.identity("s", "e", 1, "") + records.pack_data(dimensions.pack(), second, sub_account, code)
    assert len(content) == records.RECORD_BYTES
    assert records.count_records(content) == {dimensions.pack(): 1}
    assert records.count_by_second(content) == {(second, dimensions.pack()): 1}


@given(_RECORDS)
def test_records_are_counted_one_by_one(given_: list[tuple[int, int, int]]) -> None:
    """Counts of a bucket are those of its records, by dimensions and by second, and each can be taken out again."""
    content = _bytes(given_)
    assert records.count_records(content) == Counter(dimensions for _, dimensions, _ in given_)
    assert records.count_by_second(content) == Counter((second, dimensions) for _, dimensions, second in given_)
    split = list(records.split_records(content))
    assert b"".join(identity + data for identity, data in split) == content
    assert all((len(one), len(data)) == (records.IDENTITY_BYTES, records.DATA_BYTES) for one, data in split)


@given(_RECORDS, st.integers(1, records.RECORD_BYTES - 1))
def test_a_broken_bucket_is_noticed(given_: list[tuple[int, int, int]], missing: int) -> None:
    """Content that is not whole records is never read as some."""
    content = _bytes([*given_, (0, 1, 0)])[:-missing]
    with pytest.raises(ValueError, match="whole records"):
        list(records.split_records(content))


@given(st.lists(st.dictionaries(st.integers(0, 2**32 - 1), st.integers(1, 2**16 - 1), max_size=6), max_size=5))
def test_packed_counts_add_up(given_: list[dict[int, int]]) -> None:
    """The counts stored beside buckets add up to the counts of all buckets, whatever the order."""
    expected: Counter[int] = Counter()
    for counts in given_:
        expected.update(counts)
    packed = [records.pack_counts(counts) for counts in given_]
    assert records.add_counts(packed) == expected
    assert records.add_counts(reversed(packed)) == expected
    assert packed == [records.pack_counts(dict(reversed(counts.items()))) for counts in given_]


_NAMES = st.text(alphabet="ab:1é\0", max_size=3)
_IDENTIFIED = st.tuples(_NAMES, _NAMES, st.integers(0, 12), st.sampled_from(["", "1", "5", "25"]))


@given(_IDENTIFIED, _IDENTIFIED)
def test_an_identity_tells_source_id_and_instant_apart(
    one: tuple[str, str, int, str], other: tuple[str, str, int, str]
) -> None:
    """No two events share an identity because their parts run into each other."""
    assert (records.identity(*one) == records.identity(*other)) == (one == other)


def test_parts_of_an_identity_do_not_run_into_each_other() -> None:
    """However a text is cut into source, id and instant, each cut is another event."""
    text = "1:a:11:a:1"
    cuts = {(text[:at], text[at:]) for at in range(1, len(text))}
    cuts |= {(text[:at], text[at + 1 :]) for at in range(1, len(text) - 1)}
    seen = {records.identity(source, event_id, 1, "") for source, event_id in cuts}
    assert len(seen) == len(cuts)
    instants_ = [(1, ""), (11, ""), (1, "1"), (11, "1")]
    ends = {records.identity("s", event_id, *instant) for event_id in ("a", "a1", "a11") for instant in instants_}
    assert len(ends) == 3 * len(instants_)


def test_names_swapped_or_shifted_are_other_data() -> None:
    """A resend with another sub-account or code is seen as a conflict even where both have no number of their own."""
    seen = {records.pack_data(1, 0, sub, code) for sub, code in (("a", "b"), ("b", "a"), ("ab", ""), ("", "ab"))}
    assert len(seen) == 4


_SLOTS = st.integers(0, 8639)


@given(_SLOTS, st.text(max_size=5), st.integers(0, 0xFFFF))
def test_a_buckets_key_says_its_slot_and_generation(slot: int, source: str, generation: int) -> None:
    """The sort key reads back, and begins with the prefix of all generations."""
    key = records.bucket_key(slot, source, generation)
    assert records.slot_of_key(key) == slot
    assert records.generation_of_key(key) == generation
    assert key.startswith(records.bucket_prefix(slot, source))


@given(st.tuples(_SLOTS, st.integers(0, 0xFFFF)), st.tuples(_SLOTS, st.integers(0, 0xFFFF)))
def test_buckets_of_a_source_sort_by_slot_and_generation(one: tuple[int, int], other: tuple[int, int]) -> None:
    """Ranges of keys are ranges of time, and generations follow one another."""
    first, second = (records.bucket_key(slot, "s", generation) for slot, generation in (one, other))
    assert (one < other) == (first < second)
    assert "0" <= first < "~"


# --- live windows ---------------------------------------------------------------------------------------------

_BUCKETS = st.dictionaries(
    st.builds(records.bucket_key, st.sampled_from([600, 603, 605]), st.sampled_from(["/a", "/b"]), st.integers(0, 1)),
    _RECORDS.filter(bool),
    min_size=1,
    max_size=4,
)


@st.composite
def _deliveries(draw: st.DrawFn) -> tuple[dict[str, bytes], list[tuple[str, bytes]]]:
    """Buckets, and their versions as a stream may bring them: in any order, some twice, each last one at least once."""
    buckets = {key: _bytes(found) for key, found in draw(_BUCKETS).items()}
    versions = list(buckets.items())
    for key in draw(st.lists(st.sampled_from(sorted(buckets)), max_size=8)):
        number = draw(st.integers(0, len(buckets[key]) // records.RECORD_BYTES))
        versions.append((key, buckets[key][: number * records.RECORD_BYTES]))
    return buckets, draw(st.permutations(versions))


@given(_deliveries())
def test_a_window_is_the_same_however_versions_arrive(
    delivered: tuple[dict[str, bytes], list[tuple[str, bytes]]],
) -> None:
    """Repeats, old versions and other orders lead to the window of the last versions, read from a table or not."""
    buckets, versions = delivered
    earlier = {1: 5, 7: 2**32 - 1}
    window, stored = live.Window(), live.Window(earlier=earlier)
    seen = 0
    for key, content in versions:
        window.take(key, content)
        stored.take(key, content)
        item: dict[str, Any] = live._window_to_item(stored, None)
        assert int(item["calls"]["N"]) == stored.calls >= seen
        seen = stored.calls
        stored = live._window_from_item(item)
    expected: Counter[int] = Counter()
    for content in buckets.values():
        expected.update(records.count_records(content))
    assert window.totals == stored.totals == expected
    assert window.taken == stored.taken
    assert stored.earlier == earlier
    assert window.calls == expected.total()


@given(_SLOTS, st.text(max_size=5), st.integers(0, 9))
def test_a_minute_is_six_slots(slot: int, source: str, generation: int) -> None:
    """A bucket belongs to the window of its own account, day and minute."""
    window = live.window_of("a#20250310", records.bucket_key(slot, source, generation))
    assert window == live.WindowKey("a", DAY, slot * records.SLOT_SECONDS // 60)


_MINUTES = st.integers(0, 24 * 60 - 1)


@given(st.tuples(days(), _MINUTES), st.tuples(days(), _MINUTES))
def test_windows_sort_by_time_and_the_digest_after_them(one: tuple[date, int], other: tuple[date, int]) -> None:
    """The end of an account's partition is its digest, and before it the newest windows."""
    first, second = keys.window(*one), keys.window(*other)
    assert keys.place_of_window(first) == one
    assert (one < other) == (first < second)
    assert first < keys.DIGEST


_TAG_CALLS = st.dictionaries(st.integers(0, 255), st.integers(0, 2**32 - 1), max_size=4)


@given(st.dictionaries(days(), _TAG_CALLS, max_size=5))
def test_day_totals_read_back(totals: dict[date, dict[int, int]]) -> None:
    """The digest's days are as they were written, those without a chargeable call too."""
    assert live_days.unpack_days(live_days.pack_days(totals)) == totals
    for calls in totals.values():
        assert live_days.unpack_calls(live_days.pack_calls(calls)) == calls


# --- keys -----------------------------------------------------------------------------------------------------


@given(st.tuples(ACCOUNT_IDS, days()), st.tuples(ACCOUNT_IDS, days()))
def test_partitions_never_meet(one: tuple[str, date], other: tuple[str, date]) -> None:
    """Two accounts or days share no partition, and an account's days are none of another's buckets."""
    assert (keys.usage_day(*one) == keys.usage_day(*other)) == (one == other)
    assert (keys.usage_account(one[0]) == keys.usage_account(other[0])) == (one[0] == other[0])
    assert (keys.ledger(one[0]) == keys.ledger(other[0])) == (one[0] == other[0])
    assert keys.usage_day(*one) != keys.usage_account(other[0])
    assert (keys.windows(one[0]) == keys.windows(other[0])) == (one[0] == other[0])
    assert keys.windows(one[0]) != keys.usage_account(other[0])


@given(st.tuples(days(), ACCOUNT_IDS), st.tuples(days(), ACCOUNT_IDS))
def test_the_due_index_is_in_order_of_days(one: tuple[date, str], other: tuple[date, str]) -> None:
    """An earlier day comes first for any two accounts, and the account can be read from the key."""
    first, second = (keys.due_sort_key(day, account_id, keys.day_item(DAY)) for day, account_id in (one, other))
    if one[0] < other[0]:
        assert first < second
        assert first < other[0].isoformat() <= second
    assert first.split("#")[1] == one[1]


@given(ACCOUNT_IDS, st.integers(1, 64))
def test_an_account_has_one_of_the_shards(account_id: str, shards: int) -> None:
    """The planner asks every shard that an account may be in, however many there are."""
    assert keys.shard_of(account_id, shards) in keys.all_shards(shards)
    assert len(set(keys.all_shards(shards))) == shards
    assert keys.shard_of(account_id) in keys.all_shards()


@given(days(), days())
def test_day_items_come_before_late_marks_and_sort_by_day(one: date, other: date) -> None:
    """One range of keys holds day items and late marks and neither the names nor anything else."""
    assert (one < other) == (keys.day_item(one) < keys.day_item(other))
    assert keys.DAY_PREFIX <= keys.day_item(one) < keys.late_mark(other) < keys.LATE_PREFIX + "~" < keys.DICTIONARY
    assert len(keys.DAY_PREFIX) == len(keys.LATE_PREFIX)


@given(days())
def test_months_of_an_account_come_after_the_account(day: date) -> None:
    """The range from the account to the last month holds both and no bill."""
    month = keys.month_item(month_of(day))
    assert keys.ACCOUNT < month < keys.month_item("~") < keys.bill(month_of(day), rfc3339(_NOON), "x")


_NOON = datetime.fromisoformat("2025-03-10T12:00:00+08:00")


def test_texts_are_json_that_keeps_names_readable() -> None:
    """Stored names stay as they were written, so that people can read the table."""
    item = account_to_item(Account("a", "云智慧眼", _NOON - SECOND))
    assert "云智慧眼" in item["body"]["S"]
    assert json.loads(item["body"]["S"])["name"] == "云智慧眼"
