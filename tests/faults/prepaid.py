"""What packages and vouchers must have come to, by a model that walks the calls one by one, without `rating`.

It takes from the ledger which packages and vouchers there were when, from the tests when each call was made and when
postpaid was switched, and says what every bill must have taken from which package, and which voucher must have paid.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from aws_platform import keys
from tests.faults.support import FUNDS, SHANGHAI, Cloud, Json, is_daily, journal_pages

if TYPE_CHECKING:
    from rating.bill import Bill, BilledLine, CountedSegment

STOP_AFTER = timedelta(hours=24)
REFUND_TAKES = timedelta(minutes=3)
POSTPAY = ("postpay_daily", "postpay_monthly")

type Calls = Sequence[tuple[datetime, str]]
"""Chargeable calls: when, and of which tag."""
type Stop = tuple[datetime, datetime | None]


class Piece(NamedTuple):
    """A package, as its order or grant and its refund tell."""

    package_id: str
    tag: str
    gift: bool
    calls: int
    delivered: datetime
    until: datetime
    """The first instant at which it serves no more (D11)."""
    bought: int
    """The account's version from which on it was there."""
    payment: Mapping[str, Decimal]
    taken: int | None
    """The account's version from which on it was given back."""

    @property
    def order_of_use(self) -> tuple[bool, datetime, datetime, str]:
        """Gifts first, then soonest end, earliest delivery, id (D9)."""
        return (not self.gift, self.until, self.delivered, self.package_id)

    def serves(self, instant: datetime) -> bool:
        """Whether it may give a call of this instant (D10, D11)."""
        return datetime.combine(self.delivered.date(), time(), SHANGHAI) <= instant < self.until


def version_of(thing_id: str) -> int:
    """The account's version in an id of an order, a grant, a refund or a voucher, or at the end of that of a bill."""
    found = re.match(r"[a-z]+-\d{14}-(\d+)", thing_id)
    return int(found[1] if found else thing_id.rpartition("-")[2])


def texts(cloud: Cloud, account_id: str, prefix: str) -> dict[str, Json]:
    """What an account's items of one kind say, by id."""
    partition = cloud.world.dynamodb.table("ledger").partitions.get(keys.ledger(account_id).encode(), {})
    found = [item for item in partition.values() if item["sk"]["S"].startswith(prefix)]
    return {item["sk"]["S"].removeprefix(prefix): json.loads(item["body"]["S"]) for item in found}


def pieces_of(cloud: Cloud, account_id: str) -> list[Piece]:
    """All packages that an account ever had."""
    orders = {**texts(cloud, account_id, keys.ORDER_PREFIX), **texts(cloud, account_id, keys.GRANT_PREFIX)}
    return [_piece(order_id, one) for order_id, order in orders.items() for one in order["packages"]]


def _piece(order_id: str, one: Json) -> Piece:
    delivered = datetime.fromisoformat(one["delivered_at"]).astimezone(SHANGHAI)
    gift = one["source"] == "gift"
    first = delivered.date()
    last = first.replace(year=first.year + 1, day=28 if (first.month, first.day) == (2, 29) else first.day)
    if gift:
        until = datetime.combine(last, delivered.time(), SHANGHAI) + timedelta(seconds=1)
    else:
        until = datetime.combine(last + timedelta(days=1), time(), SHANGHAI)
    payment = {fund: Decimal(amount) for fund, amount in one["payment"].items()}
    taken = version_of(one["refund"]) if one["refund"] else None
    return Piece(one["id"], one["tag"], gift, one["calls"], delivered, until, version_of(order_id), payment, taken)


# --- calls -----------------------------------------------------------------------------------------------------


@dataclass
class Cover:
    """How the calls of one tag and day (month) were covered."""

    counted: int = 0
    free: int = 0
    paid: int = 0
    postpaid: int = 0
    uncovered: int = 0


@dataclass
class Walk:
    """A walk through an account's bills, in the order in which they were issued."""

    account: Json
    pieces: Sequence[Piece]
    flips: Sequence[datetime]
    stops: Sequence[Stop]
    left: dict[str, int] = field(default_factory=dict)
    covered: dict[tuple[date, str], Cover] = field(default_factory=lambda: defaultdict(Cover))
    days: dict[tuple[date, str], Cover] = field(default_factory=lambda: defaultdict(Cover))
    """The same by day, for monthly accounts too."""
    said: dict[tuple[date, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 5))
    """What the bills' lines say of it, up to here."""

    def __post_init__(self) -> None:
        """Fill the packages."""
        self.left = {one.package_id: one.calls for one in self.pieces}

    def bill(self, bill: Bill) -> None:
        """Walk the calls of one bill, and compare with what it says."""
        number = version_of(bill.bill_id)
        there = sorted(
            (
                one
                for one in self.pieces
                if one.bought < number
                and (one.taken is None or number < one.taken)
                and one.delivered <= bill.charged_at
            ),
            key=lambda one: one.order_of_use,
        )
        for segment in bill.counted:
            self.segment(bill, segment, there)
        for charge in bill.charges:
            for one in charge.lines:
                self.line(one)
        for (period, tag), cover in self.covered.items():
            said = self.said[period, tag]
            right = [cover.counted, cover.free, cover.paid, cover.postpaid, cover.uncovered]
            assert said == right, f"{bill.bill_id}: up to it lines of {period} {tag} say {said}, the model {right}"

    def segment(self, bill: Bill, segment: CountedSegment, there: Sequence[Piece]) -> None:
        """Walk the calls of one segment."""
        start = segment.start.astimezone(SHANGHAI)
        last = segment.end - timedelta(microseconds=1)
        given: Counter[str] = Counter()
        on = self.postpaid_at(start)
        assert segment.postpaid == on, f"{bill.bill_id} {start}: postpaid"
        for tag, calls in segment.calls.items():
            assert on == self.postpaid_at(last), f"{bill.bill_id} {start}: not cut where postpaid was switched"
            assert self.stopped_at(start) == self.stopped_at(last), f"{bill.bill_id} {start}: not cut at a stop"
            cover = self.covered[self.period(start), tag], self.days[start.date(), tag]
            for _ in range(calls):
                piece = None if self.stopped_at(start) else self.next(there, tag, start)
                if piece is not None:
                    assert piece.serves(last), f"{bill.bill_id} {start}: not cut where {piece.package_id} ends"
                    self.left[piece.package_id] -= 1
                    given[piece.package_id] += 1
                for one in cover:
                    _count(one, piece, postpaid=on)
        took = Counter({one.package_id: one.calls for one in segment.deductions})
        assert took == given, f"{bill.bill_id} {start}: took {dict(took)}, the model {dict(given)}"

    def line(self, billed: BilledLine) -> None:
        """Add what a line says."""
        line, quantities = billed.line, billed.line.quantities
        sums = self.said[self.period(line.first_day), line.tag]
        names = ("raw", "free", "paid", "postpaid", "uncovered")
        for place, name in enumerate(names):
            sums[place] += getattr(quantities, name)

    def next(self, there: Sequence[Piece], tag: str, instant: datetime) -> Piece | None:
        """The package that gives the next call."""
        for piece in there:
            if piece.tag == tag and self.left[piece.package_id] and piece.serves(instant):
                return piece
        return None

    def postpaid_at(self, instant: datetime) -> bool:
        """Whether postpaid was on."""
        return sum(flip <= instant for flip in self.flips) % 2 == 0

    def stopped_at(self, instant: datetime) -> bool:
        """Whether service was stopped."""
        return any(start <= instant and (end is None or instant < end) for start, end in self.stops)

    def period(self, day: date) -> date:
        """What lines are for: a day, or a month of a monthly account."""
        first = day if is_daily(self.account) else day.replace(day=1)
        return date(first.year, first.month, first.day)


def _count(cover: Cover, piece: Piece | None, *, postpaid: bool) -> None:
    cover.counted += 1
    if piece is not None and piece.gift:
        cover.free += 1
    elif piece is not None:
        cover.paid += 1
    elif postpaid:
        cover.postpaid += 1
    else:
        cover.uncovered += 1


def stops_of(cloud: Cloud, account_id: str) -> list[Stop]:
    """The stops that arrears brought: 24 hours after the charge, until the balance is no longer below zero (D21)."""
    stops: list[Stop] = []
    balance, since = Decimal(0), None
    for page in journal_pages(cloud.world, keys.ledger(account_id)):
        when = datetime.fromisoformat(page["occurred_at"])
        balance += sum(Decimal(amount) for fund, amount, _ in page["entries"] if fund in FUNDS)
        if balance < 0:
            since = since or when
        elif since is not None:
            if since + STOP_AFTER < when:
                stops.append((since + STOP_AFTER, when))
            since = None
    if since is not None:
        stops.append((since + STOP_AFTER, None))
    return stops


def check_packages(
    cloud: Cloud, account_id: str, account: Json, bills: Sequence[Bill], calls: Calls, flips: Sequence[datetime]
) -> Walk:
    """Every bill took from the packages what the model takes, and what is left of them is in the wallets."""
    pieces = pieces_of(cloud, account_id)
    walk = Walk(account, pieces, flips, stops_of(cloud, account_id))
    settlements = [bill for bill in bills if bill.transaction_type in POSTPAY]
    for bill in sorted(settlements, key=lambda bill: version_of(bill.bill_id)):
        walk.bill(bill)
    _check_segments(account_id, settlements, calls)
    _check_wallets(cloud, account_id, walk, settlements)
    _check_refunds(cloud, account_id, pieces)
    return walk


def _check_segments(account_id: str, bills: Iterable[Bill], calls: Calls) -> None:
    """Each call is on a bill, in the segment in which it was made."""
    billed: Counter[tuple[datetime, datetime, str]] = Counter()
    for bill in bills:
        for segment in bill.counted:
            for tag, number in segment.calls.items():
                billed[segment.start, segment.end, tag] += number
    for (start, end, tag), number in billed.items():
        made = sum(start <= when < end and of == tag for when, of in calls)
        assert number == made, f"{account_id} {start} to {end} {tag}: {number} billed, {made} made"


def _check_wallets(cloud: Cloud, account_id: str, walk: Walk, bills: Iterable[Bill]) -> None:
    """A wallet has the packages with something left, and knows what was billed since it has any."""
    billed: Counter[tuple[date, str]] = Counter()
    for bill in bills:
        for segment in bill.counted:
            for tag, number in segment.calls.items():
                billed[segment.start.astimezone(SHANGHAI).date(), tag] += number
    wallets = texts(cloud, account_id, keys.WALLET_PREFIX)
    living = [one for one in walk.pieces if one.taken is None and walk.left[one.package_id]]
    assert {one.tag for one in living} <= wallets.keys()
    for tag, wallet in wallets.items():
        kept = {one[0]: (one[2], one[3]) for one in wallet["packages"]}
        right = {one.package_id: (one.calls, one.calls - walk.left[one.package_id]) for one in living if one.tag == tag}
        assert kept == right, f"{account_id} {tag}: the wallet has {kept}, the model {right}"
        first = min(one.delivered.date() for one in walk.pieces if one.tag == tag)
        known = {day: calls for day, calls in wallet["billed"].items() if day >= first.isoformat()}
        days = {day.isoformat(): calls for (day, of), calls in billed.items() if of == tag and day >= first}
        assert known == days, f"{account_id} {tag}: the wallet knows of {known}, billed are {days}"


def _check_refunds(cloud: Cloud, account_id: str, pieces: Sequence[Piece]) -> None:
    """Each package that was given back was so once, for what was paid, a voucher's part less, no sooner than it may."""
    refunds = texts(cloud, account_id, keys.REFUND_PREFIX)
    gone = {one.package_id: one for one in pieces if one.taken is not None}
    assert sorted(one["package"] for one in refunds.values()) == sorted(gone), f"{account_id}: {refunds}, {gone}"
    pages = Counter(page["reference"] for page in journal_pages(cloud.world, keys.ledger(account_id)))
    for refund_id, refund in refunds.items():
        piece = gone[refund["package"]]
        back = {fund: Decimal(amount) for fund, amount in refund["refunds"].items()}
        assert back == {fund: amount for fund, amount in piece.payment.items() if fund in FUNDS}, refund
        assert Decimal(refund["forfeited"]) == piece.payment.get("voucher", Decimal(0)), refund
        asked, done = refund["requested_at"], refund["completed_at"]
        if done is not None:
            assert datetime.fromisoformat(done) - datetime.fromisoformat(asked) >= REFUND_TAKES, refund
        assert pages[refund_id] == bool(done and back), f"{refund_id}: {pages}"
        last_day = datetime.fromisoformat(asked).date() - piece.delivered.date()
        assert last_day <= timedelta(days=7), refund


# --- money -----------------------------------------------------------------------------------------------------


@dataclass
class Purse:
    """An account's vouchers, as far down as its bills have taken them."""

    issued: Mapping[str, Json]
    left: dict[str, Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, cloud: Cloud, account_id: str) -> Purse:
        """All that were ever issued, full."""
        issued = {
            **texts(cloud, account_id, keys.VOUCHER_PREFIX),
            **texts(cloud, account_id, keys.SPENT_VOUCHER_PREFIX),
        }
        return cls(issued, {voucher_id: Decimal(one["amount"]) for voucher_id, one in issued.items()})

    def fits(self, voucher_id: str, scene: str, amount: Decimal, version: int, when: datetime) -> bool:
        """Whether a voucher may pay now."""
        one = self.issued[voucher_id]
        ends = one["expires_at"] and datetime.fromisoformat(one["expires_at"])
        return (
            one["scene"] == scene
            and version_of(voucher_id) < version
            and self.left[voucher_id] > 0
            and (ends is None or when < ends)
            and Decimal(one["threshold"]) <= amount
            and amount > 0
        )

    def choice(self, amount: Decimal, version: int, when: datetime) -> str | None:
        """Of those that pay all the first to expire; of the others that, then the most paid, then the least left."""
        usable = [one for one in self.issued if self.fits(one, "postpaid", amount, version, when)]
        usable.sort(
            key=lambda one: (
                self.issued[one]["expires_at"] or "9999",
                -min(self.left[one], amount),
                self.left[one],
                one,
            )
        )
        whole = [one for one in usable if self.left[one] >= amount]
        return next(iter(whole or usable), None)

    def pay(self, voucher_id: str, amount: Decimal) -> list[str | Decimal]:
        """Take what a voucher pays; returns the journal's entry."""
        part = min(self.left[voucher_id], amount)
        self.left[voucher_id] = Decimal(0) if self.issued[voucher_id]["single_use"] else self.left[voucher_id] - part
        return ["voucher", -part, self.left[voucher_id]]


def voucher_entries(cloud: Cloud, account_id: str, purse: Purse, bill: Bill, version: int) -> list[list[Any]]:
    """What the journal must say of vouchers for a bill: a settlement chooses one, an order names it."""
    amount = sum((charge.amount for charge in bill.charges if charge.amount > 0), Decimal(0))
    chosen = None
    if bill.transaction_type in POSTPAY:
        chosen = purse.choice(amount, version, bill.charged_at)
    elif bill.transaction_type == "prepay_purchase":
        chosen = texts(cloud, account_id, keys.ORDER_PREFIX)[bill.bill_id]["voucher"]
        assert chosen is None or purse.fits(chosen, "prepaid", amount, version, bill.charged_at), bill
    assert bill.voucher_id == chosen, f"{bill.bill_id}: {bill.voucher_id} paid, the model chose {chosen}"
    return [purse.pay(chosen, amount)] if chosen else []


def check_purse(cloud: Cloud, account_id: str, purse: Purse) -> None:
    """What is left of each voucher is what the bills have left."""
    kept = {
        voucher_id: Decimal(one["remaining"])
        for prefix in (keys.VOUCHER_PREFIX, keys.SPENT_VOUCHER_PREFIX)
        for voucher_id, one in texts(cloud, account_id, prefix).items()
    }
    assert kept == purse.left, f"{account_id}: vouchers {kept}, the model {purse.left}"


def check_shares(bill: Bill, entries: Iterable[Sequence[Any]]) -> None:
    """The rows of a bill, and their lines, say together which fund paid what; each row's parts add up to it."""
    moved = _by_fund((fund, -Decimal(amount)) for fund, amount, _ in entries)
    rows = _by_fund(part for charge in bill.charges for part in charge.payment.items())
    assert rows == moved, f"{bill.bill_id}: rows {rows}, journal {moved}"
    for charge in bill.charges:
        assert sum(charge.payment.values()) == charge.amount, f"{bill.bill_id}: {charge}"
        lines = _by_fund(part for line in charge.lines for part in line.payment.items())
        assert lines == _by_fund(charge.payment.items()), f"{bill.bill_id}: {charge}"


def _by_fund(parts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for fund, amount in parts:
        sums[str(fund)] += amount
    return {fund: amount for fund, amount in sums.items() if amount}


# --- requests --------------------------------------------------------------------------------------------------


def check_requests(cloud: Cloud) -> None:
    """Every answer that was told is kept, byte for byte; what was made was made by one kept request each."""
    for account_id in cloud.accounts():
        partition = cloud.world.dynamodb.table("ledger").partitions[keys.ledger(account_id).encode()]
        kept = [item for item in partition.values() if item["sk"]["S"].startswith("I#")]
        known = {(item["sk"]["S"].rpartition("#")[2], item["text"]["S"]) for item in kept}
        for (path, key), text in cloud.answered.items():
            if path.split("/")[3] == account_id:
                digest = hashlib.sha256(key.encode()).hexdigest()
                assert (digest, text) in known, f"{path} {key}: {text} was told, and is not kept"
        for (route, name), made in _made(cloud, account_id).items():
            prefix = f"I#POST /v1/accounts/{{account_id}}/{route}#"
            told = [json.loads(item["text"]["S"])[name] for item in kept if item["sk"]["S"].startswith(prefix)]
            assert sorted(told) == sorted(made), f"{account_id} {route}: {told} kept, {sorted(made)} made"


def _made(cloud: Cloud, account_id: str) -> dict[tuple[str, str], list[str]]:
    """The ids of all that was made, by the route that makes it and what its answer calls the id."""
    free = ("first opening", "first merchant id")
    grants = texts(cloud, account_id, keys.GRANT_PREFIX).values()
    given = [one["id"] for grant in grants if grant["reason"] not in free for one in grant["packages"]]
    pages = journal_pages(cloud.world, keys.ledger(account_id))
    return {
        ("orders", "order_id"): list(texts(cloud, account_id, keys.ORDER_PREFIX)),
        ("packages", "package_id"): given,
        ("packages/{package_id}/refund", "refund_id"): list(texts(cloud, account_id, keys.REFUND_PREFIX)),
        ("vouchers", "voucher_id"): list(Purse.of(cloud, account_id).issued),
        ("top-ups", "transaction_id"): [page["reference"] for page in pages if page["kind"] == "top_up"],
        ("adjustments", "bill_id"): [page["reference"] for page in pages if page["kind"] == "adjustment"],
    }


# --- the live view ---------------------------------------------------------------------------------------------


def view(cloud: Cloud, account_id: str, tags: Iterable[str], first: str, last: str) -> Json:
    """What the API shows of packages and usage at this moment, with all usage in the live totals."""
    path = f"/v1/accounts/{account_id}"
    packages = cloud.request("GET", f"{path}/packages").body["items"]
    shown: Json = {"packages": packages}
    for by in ("day", "tag"):
        query = {"from": first, "to": last, "by": by}
        shown[by] = cloud.request("GET", f"{path}/usage", query=query).body["items"]
    for tag in tags:
        query = {"from": first, "to": last, "tag": tag}
        shown[f"days of {tag}"] = cloud.request("GET", f"{path}/usage", query=query).body["items"]
        left = cloud.request("GET", f"{path}/entitlements/{tag}").body
        shown[f"left of {tag}"] = left["free_remaining"], left["paid_remaining"]
    for one in packages:
        shown[one["package_id"]] = cloud.request("GET", f"{path}/packages/{one['package_id']}/usage").body["items"]
    return shown


def check_shown(cloud: Cloud, account_id: str, walk: Walk, shown: Json) -> None:
    """What the API shows is what the model has come to; for when everything is settled."""
    for one in shown["packages"]:
        piece = next(piece for piece in walk.pieces if piece.package_id == one["package_id"])
        used = 0 if piece.taken else piece.calls - walk.left[piece.package_id]
        right = (piece.calls, used, 0 if piece.taken else piece.calls - used)
        assert (one["total"], one["used"], one["remaining"]) == right, f"{one}: {right}"
        assert sum(row["calls"] for row in shown[piece.package_id]) == used, shown[piece.package_id]
    by_day: dict[date, Cover] = defaultdict(Cover)
    for (day, _), cover in walk.days.items():
        for name, number in vars(cover).items():
            setattr(by_day[day], name, getattr(by_day[day], name) + number)
    for row in shown["day"]:
        right_of_day = by_day[date.fromisoformat(row["day"])]
        assert {name: row[name] for name in ("free", "paid", "postpaid", "uncovered")} == {
            name: number for name, number in vars(right_of_day).items() if name != "counted"
        }, f"{account_id}: {row}, the model {right_of_day}"
        assert row["calls"] == right_of_day.counted, row
