"""What must hold in the end, whatever struck: computed here from the events alone, not with the product's own code."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import NamedTuple

from aws_platform import keys, live, records
from aws_platform.bills import bill_from_item
from rating.bill import Bill, TransactionType
from rating.catalog import load
from rating.reconciliation import month_balances
from tests.faults import prepaid
from tests.faults.harness import Call, Fault
from tests.faults.support import FUNDS, SHANGHAI, Cloud, Fact, Json, Told, fact, is_daily, journal_pages

FEN = Decimal("0.01")
LOST = {
    Fault.TIMEOUT_BEFORE,
    Fault.TIMEOUT_AFTER,
    Fault.LOST,
    Fault.UNREACHABLE,
    Fault.SERVER_ERROR_BEFORE,
    Fault.SERVER_ERROR_AFTER,
}
"""After these the caller does not know what its write did."""


class Sold(NamedTuple):
    """What the guide says of an interface: its tag, the result codes that are charged, the price of a call."""

    tag: str
    charged: frozenset[str]
    daily: Decimal
    tiers: Mapping[int, str]
    """Of the monthly list: from so many calls of the month, so much a call."""


def _sold(tag: str, charged: str, daily: str, tiers: Mapping[int, str] | None = None) -> Sold:
    return Sold(tag, frozenset(charged.split()), Decimal(daily), tiers or {0: daily})


SOLD = {
    "api.id_card_verification": _sold("identity_check", "0 -1", "0.30", {0: "0.30", 10_000: "0.28"}),
    "api.phone_2e": _sold("phone_two_factor", "0 1", "0.40", {0: "0.40", 1000: "0.38"}),
    "face_risk": _sold("face_risk", "0", "0.0035"),
    "api.liveness_compare": _sold("basic_uploaded", "Success", "0.15"),
}
"""Interfaces that the fault tests use; the third one's price makes charges be rounded, the last has free packages."""
BY_TAG = {one.tag: one for one in SOLD.values()}
KINDS = {
    TransactionType.POSTPAY_DAILY: "settlement",
    TransactionType.POSTPAY_MONTHLY: "settlement",
    TransactionType.PREPAY_PURCHASE: "order",
    TransactionType.PREPAY_REFUND: "refund",
    TransactionType.ADJUSTMENT: "adjustment",
}
"""What the journal calls the movement of a bill."""

type Flips = Mapping[str, Sequence[datetime]]
"""When postpaid was switched, by account; it is on at first (D5)."""


@cache
def _identity(source: str, event_id: str, second: int) -> bytes:
    return records.identity(source, event_id, second, "")


# --- counted is reported ---------------------------------------------------------------------------------------


def stored_facts(cloud: Cloud, sent: Iterable[Json]) -> list[Fact]:
    """What is stored, told apart by what was sent. Nothing else may be stored, and nothing twice."""
    variants: dict[tuple[str, bytes], list[Fact]] = defaultdict(list)
    for one in map(fact, sent):
        variants[one.account, _identity(*one.identity[1:])].append(one)
    facts = []
    for account_id, identity, bare in cloud.stored():
        same = [one for one in variants[account_id, identity] if one._replace(source="", event_id="") == bare]
        assert same, f"stored, but never sent: {bare}"
        facts.append(same[0])
    twice = [one for one, number in Counter(one.identity for one in facts).items() if number > 1]
    assert not twice, f"stored twice: {twice}"
    return facts


def check_told(cloud: Cloud, sent: Iterable[Json]) -> list[Fact]:
    """Every answer is true; returns what is stored."""
    facts = stored_facts(cloud, sent)
    by_identity = {one.identity: one for one in facts}
    for told in cloud.told:
        _check_answer(told, by_identity)
    new = [one for one in facts if one not in cloud.before]
    charged = sum(one.code in SOLD[one.interface].charged for one in new)
    accepted = sum(told.report["accepted"] for told in cloud.told)
    not_chargeable = sum(told.report["not_chargeable"] for told in cloud.told)
    if not _lost_writes(cloud):
        assert accepted <= charged, f"accepted was told {accepted} times, {charged} chargeable events are stored"
        assert not_chargeable <= len(new) - charged
    if not _told_to_nobody(cloud):
        assert accepted >= charged, f"accepted was told {accepted} times, {charged} chargeable events are stored"
        assert not_chargeable >= len(new) - charged
    return facts


def _check_answer(told: Told, stored: Mapping[tuple[str, str, str, int], Fact]) -> None:
    report = told.report
    names = ("accepted", "duplicate", "conflict", "not_chargeable", "rejected")
    assert sum(report[name] for name in names) == len(told.events), report
    codes = {error["index"]: error["code"] for error in report["errors"]}
    assert len(codes) == report["rejected"] + report["conflict"], report
    assert list(codes.values()).count("conflict") == report["conflict"], report
    for index, one in enumerate(told.events):
        if codes.get(index) not in {None, "conflict"}:
            continue
        said = fact(one)
        known = stored.get(said.identity)
        assert known is not None, f"answered, but not stored: {said}"
        assert (known == said) == (index not in codes), f"told {codes.get(index)} of {said}, stored is {known}"


def _lost_writes(cloud: Cloud) -> bool:
    """Whether an answer to a write of events was lost: then two requests may both take them for their own."""
    return any(one.fault in LOST and _writes_events(one.call) for one in cloud.world.trace)


def _writes_events(call: Call) -> bool:
    body = call.body["TransactItems"][0].get("Put", {}) if call.operation == "TransactWriteItems" else call.body
    return "r" in body.get("Item", {})


def _told_to_nobody(cloud: Cloud) -> bool:
    """Whether something may have been stored of which nobody was told."""
    crashes = {Fault.CRASH_BEFORE, Fault.CRASH_AFTER}
    return cloud.untold or 503 in cloud.statuses or any(one.fault in crashes for one in cloud.world.trace)


def check_complete(cloud: Cloud, sent: Sequence[Json], valid: Collection[Json]) -> None:
    """Every valid event is stored, whichever of conflicting ones came first; nothing else is."""
    stored = {one.identity for one in stored_facts(cloud, sent)}
    wanted = {fact(one).identity for one in valid}
    assert stored == wanted, f"missing: {wanted - stored}, too much: {stored - wanted}"


def check_always(cloud: Cloud) -> None:
    """Nothing was wrong at any moment."""
    assert not cloud.watch.broken, cloud.watch.broken


# --- live totals are what the buckets hold ---------------------------------------------------------------------


def check_live(cloud: Cloud) -> None:
    """The windows of every day hold exactly the calls of its buckets, and what they come to by tag is known."""
    wanted = _held(cloud)
    partitions = {item["pk"]["S"] for item in cloud.world.items("live") if not item["pk"]["S"].endswith("#days")}
    assert partitions == {keys.windows(account_id) for account_id, _ in wanted}
    for (account_id, day), counts in wanted.items():
        windows = live.windows_of_day(cloud.product.dynamodb, "live", account_id, day)
        assert windows == counts, f"{account_id} {day}: live {windows}, buckets {counts}"
    for account_id in {account_id for account_id, _ in wanted}:
        by_day = {day: _by_tag(counts) for (whose, day), counts in wanted.items() if whose == account_id}
        totals = live.totals_by_day(cloud.product.dynamodb, "live", account_id)
        assert totals == by_day, f"{account_id}: live totals {totals}, buckets {by_day}"


def _by_tag(counts: Mapping[int, int]) -> dict[int, int]:
    """The chargeable ones of calls by packed dimensions, by the number of their tag."""
    catalog = load()
    calls: Counter[int] = Counter()
    for packed, number in counts.items():
        one = records.unpack_dimensions(packed)
        if one.chargeable:
            calls[catalog.interface(one.kind).tag_number] += number
    return dict(calls)


def check_counted_days(cloud: Cloud) -> None:
    """What runs have kept of the days that they counted is what the buckets hold; for when nothing late is left."""
    wanted = _held(cloud)
    for account_id in cloud.accounts():
        kept = live.counted_days(cloud.product.dynamodb, "live", account_id, date(2025, 1, 1), date(2025, 12, 31))
        for day, counts in kept.items():
            assert counts == wanted[account_id, day], f"{account_id} {day}: kept {counts}, buckets {wanted}"


def _held(cloud: Cloud) -> dict[tuple[str, date], Counter[int]]:
    """The calls of all buckets by account and day, by packed dimensions."""
    held: dict[tuple[str, date], Counter[int]] = defaultdict(Counter)
    for item in cloud.world.items("usage"):
        if "r" in item:
            account_id, _, digits = item["pk"]["S"].rpartition("#")
            content = base64.b64decode(item["r"]["B"])
            held[account_id, date.fromisoformat(digits)].update(records.count_records(content))
    return held


# --- charged is counted x price --------------------------------------------------------------------------------


def rounded(amount: Decimal) -> Decimal:
    """Half-up to the fen (D15)."""
    return amount.quantize(FEN, rounding=ROUND_HALF_UP)


def bills_of(cloud: Cloud, account_id: str) -> list[Bill]:
    """An account's bills, in the order in which they were issued."""
    found = cloud.world.dynamodb.table("ledger").partitions.get(keys.ledger(account_id).encode(), {}).values()
    texts = [base64.b64decode(item["bill"]["B"]) for item in found if "bill" in item]
    issued = [bill_from_item({"bill": {"B": text}}) for text in texts]
    return sorted(issued, key=lambda bill: (bill.charged_at, prepaid.version_of(bill.bill_id)))


def check_money(cloud: Cloud, facts: Iterable[Fact], flips: Flips | None = None) -> dict[str, prepaid.Walk]:
    """Every call on exactly one bill, at the right price; every bill deducted once; the journal is the funds.

    ``facts``: what is stored, of days that are over and have been settled. Returns how each account's calls were
    covered.
    """
    walks: dict[str, prepaid.Walk] = {}
    by_account: dict[str, list[Fact]] = defaultdict(list)
    for one in facts:
        if one.code in SOLD[one.interface].charged:
            by_account[one.account].append(one)
    for account_id, account in cloud.accounts().items():
        bills = bills_of(cloud, account_id)
        issued = [bill for bill in bills if bill.transaction_type in prepaid.POSTPAY]
        mine = by_account[account_id]
        _check_counted(account_id, issued, mine)
        calls = [(one.instant, SOLD[one.interface].tag) for one in mine]
        walk = prepaid.check_packages(cloud, account_id, account, bills, calls, (flips or {}).get(account_id, ()))
        walks[account_id] = walk
        charged = Counter({place: cover.postpaid for place, cover in walk.covered.items()})
        _check_prices(account, issued, charged)
        _check_journal(cloud, account_id, account, bills)
        _check_months(cloud, account_id, bills)
        _check_balances(cloud, account_id, bills)
        ends = [bill.last_day for bill in issued]
        assert account["settled_through"] == (max(ends).isoformat() if ends else None)
    return walks


def _check_counted(account_id: str, issued: Sequence[Bill], mine: Sequence[Fact]) -> None:
    """No call on two bills, none on no bill."""
    billed: Counter[tuple[date, str]] = Counter()
    for bill in issued:
        for segment in bill.counted:
            for tag, calls in segment.calls.items():
                billed[segment.start.astimezone(SHANGHAI).date(), tag] += calls
    counted = Counter((one.day, SOLD[one.interface].tag) for one in mine)
    assert billed == counted, f"{account_id}: billed {dict(billed)}, counted {dict(counted)}"


def _check_prices(account: Json, issued: Sequence[Bill], charged: Counter[tuple[date, str]]) -> None:
    """What was charged for each tag and day (month) is its calls times its price, rounded in each run.

    ``charged``: the calls that no package gave while postpaid was on.
    """
    daily = is_daily(account)
    calls: Counter[tuple[date, str]] = Counter()
    details: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
    for bill in issued:
        for charge in bill.charges:
            place = bill.first_day, charge.tag
            calls[place] += sum(line.line.quantities.postpaid for line in charge.lines)
            sold = BY_TAG[charge.tag]
            price = sold.daily if daily else _tier(sold, calls[place])
            right = price * calls[place]
            assert charge.details == right - details[place], f"{bill.bill_id}: {charge} to reach {right}"
            assert charge.amount == rounded(right - details[place]), f"{bill.bill_id}: {charge}"
            details[place] = right
    assert +calls == +charged, f"charged {dict(calls)}, counted {dict(charged)}"


def _tier(sold: Sold, calls: int) -> Decimal:
    return Decimal([price for start, price in sorted(sold.tiers.items()) if start <= calls][-1])


def _check_journal(cloud: Cloud, account_id: str, account: Json, bills: Sequence[Bill]) -> None:
    """The journal leads to the funds, entry by entry; each bill and each answered top-up is in it once."""
    funds = dict.fromkeys(FUNDS, Decimal(0))
    by_id = {bill.bill_id: bill for bill in bills}
    purse = prepaid.Purse.of(cloud, account_id)
    seen: Counter[str] = Counter()
    for page in journal_pages(cloud.world, keys.ledger(account_id)):
        seen[page["reference"]] += 1
        bill = by_id.get(page["reference"])
        assert (bill is None) == (page["kind"] == "top_up"), f"{account_id}: {page} of {bill}"
        if bill is not None:
            assert page["kind"] == KINDS[bill.transaction_type], f"{account_id}: {page} of {bill}"
            paid = prepaid.voucher_entries(cloud, account_id, purse, bill, page["version"])
            prepaid.check_shares(bill, page["entries"])
            moves = [(fund, Decimal(amount)) for fund, amount, _ in page["entries"]]
            if bill.transaction_type is TransactionType.PREPAY_REFUND:
                (charge,) = bill.charges
                right = {fund.value: -amount for fund, amount in charge.payment.items()}
                assert dict(moves) == right, f"{account_id}: {page}"
            else:
                amounts = [charge.amount for charge in bill.charges]
                rest = _payment(funds, amounts, sum((-one[1] for one in paid), Decimal(0)))
                assert moves == [*((fund, amount) for fund, amount, _ in paid), *rest], f"{account_id}: {page}, {funds}"
            left = [Decimal(after) for fund, _, after in page["entries"] if fund == "voucher"]
            assert left == [after for *_, after in paid], f"{account_id}: {page}"
        for fund, amount, after in page["entries"]:
            if fund not in funds:
                continue
            funds[fund] += Decimal(amount)
            assert funds[fund] == Decimal(after), f"{account_id}: {page}"
            assert fund == "cash" or funds[fund] >= 0, f"{account_id}: {page}"
    assert dict(zip(FUNDS, map(Decimal, account["funds"]), strict=True)) == funds
    prepaid.check_purse(cloud, account_id, purse)
    charged = {one for one, bill in by_id.items() if any(charge.amount for charge in bill.charges)}
    assert charged <= set(seen), f"{account_id}: not deducted: {charged - set(seen)}"
    answered = {body["transaction_id"] for whose, body in cloud.paid.values() if whose == account_id}
    assert answered <= set(seen), f"{account_id}: lost: {answered - set(seen)}"
    assert set(seen.values()) <= {1}, f"{account_id}: {seen}"


def _payment(
    funds: Mapping[str, Decimal], amounts: Iterable[Decimal], by_voucher: Decimal
) -> Iterator[tuple[str, Decimal]]:
    """The movements that charges lead to: credits to cash, then gift, income transfer, cash (D16, D19)."""
    charges = list(amounts)
    credit = -sum((amount for amount in charges if amount < 0), Decimal(0))
    left = sum((amount for amount in charges if amount > 0), Decimal(0)) - by_voucher
    if credit:
        yield "cash", credit
    for fund in FUNDS:
        part = left if fund == "cash" else min(left, funds[fund])
        if part:
            yield fund, -part
            left -= part


def _check_months(cloud: Cloud, account_id: str, bills: Sequence[Bill]) -> None:
    """What a month has summed up are its bills, and the row that closes it is there once (D15)."""
    sums: dict[str, list[Decimal]] = {}
    rows: Counter[str] = Counter()
    for bill in bills:
        if bill.transaction_type is TransactionType.PRECISION_DIFFERENCE:
            rows[bill.charge_month] += 1
            details, deducted = sums[bill.charge_month]
            assert bill.precision_difference == deducted - details, bill
            continue
        if bill.transaction_type not in prepaid.POSTPAY:
            assert bill.details == bill.amount, f"{bill.bill_id} is not of whole fen"
            continue
        both = sums.setdefault(bill.charge_month, [Decimal(0), Decimal(0)])
        both[0] += sum((charge.details for charge in bill.charges), Decimal(0))
        both[1] += sum((charge.amount for charge in bill.charges), Decimal(0))
    partition = cloud.world.dynamodb.table("ledger").partitions.get(keys.ledger(account_id).encode(), {})
    items = {
        item["sk"]["S"].removeprefix(keys.MONTH_PREFIX): item
        for item in partition.values()
        if item["sk"]["S"].startswith(keys.MONTH_PREFIX)
    }
    stored = {month: [Decimal(item[name]["N"]) for name in ("details", "deducted")] for month, item in items.items()}
    assert stored == sums, f"{account_id}: months {stored}, bills {sums}"
    closed = {month for month, item in items.items() if "closed" in item}
    assert rows == dict.fromkeys(closed, 1), f"{account_id}: rows {rows}, closed {closed}"


def _check_balances(cloud: Cloud, account_id: str, bills: Sequence[Bill]) -> None:
    """Details + precision row = resources = journal for every month (D15); the journal is added up here."""
    taken: defaultdict[str, Decimal] = defaultdict(Decimal)
    for page in journal_pages(cloud.world, keys.ledger(account_id)):
        if page["kind"] != "top_up":
            taken[page["occurred_at"][:7]] -= sum((Decimal(amount) for _, amount, _ in page["entries"]), Decimal(0))
    # Only the month that is still open may want for its row.
    latest = max((bill.charge_month for bill in bills), default="")
    closed = any(
        bill.charge_month == latest and bill.transaction_type is TransactionType.PRECISION_DIFFERENCE for bill in bills
    )
    for one in month_balances(bills, taken, () if closed else (latest,)):
        assert one.agrees, f"{account_id}: {one}"


def check_nothing_due(cloud: Cloud, run_day: str) -> None:
    """No index leads to anything that the run of this day, or one before it, should have taken; timers are sweeps'."""
    for table in ("usage", "ledger"):
        runs = [item for item in cloud.world.items(table) if item.get("due_pk", {"S": ""})["S"].startswith("due#")]
        left = [item for item in runs if item["due_sk"]["S"][:10] <= run_day]
        assert not left, f"still due: {left}"


def check_settled(
    cloud: Cloud, sent: Sequence[Json], run_day: str, flips: Flips | None = None
) -> dict[str, prepaid.Walk]:
    """All of the above after a run: everything stored is billed exactly once, and nothing is left to do."""
    check_always(cloud)
    walks = check_money(cloud, stored_facts(cloud, sent), flips)
    prepaid.check_requests(cloud)
    check_nothing_due(cloud, run_day)
    check_counted_days(cloud)
    return walks
