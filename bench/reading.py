"""What reading a bill costs: a month of 32 tags and 31 days through the routes, in pages and in CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from aws_platform.bills import bill_to_item
from bench import traffic
from bench.figures import Figure, Section
from bench.prepaid import handler_of, milliseconds, request
from bench.scene import Scene, Scenes
from bench.settling import recording
from local.emulator import Emulator
from rating import money
from rating.allocation import Source
from rating.bill import Bill, BilledCharge, BilledLine, CountedSegment, Deduction, TransactionType
from rating.billing import Line, Quantities
from rating.catalog import load
from rating.civil import end_of, first_day, last_day, month_of, previous_month, start_of
from rating.funds import Fund
from rating.pricing import AppliedPrice

PAGES_TARGET, MILLISECONDS_TARGET = 3, 50.0
DAYS = 31
FIRST = date(2025, 3, 1)
MONTH = month_of(FIRST)
_FREE, _PAID = 100, 50


def measure() -> Section:
    """A whole month of fees in one answer, a page of them, and the overview with its trend."""
    account_id = traffic.account(0)
    with Emulator() as emulator, Scenes(emulator).fresh() as scene:
        scene.now = start_of(date(2025, 4, 2))
        scene.open_account(account_id, Decimal(100_000_000))
        stored = put_month(scene, account_id, MONTH)
        # First all reads, for the clients are new ones once CPU has been measured.
        readings = [
            _read(scene, account_id, "all fees, one answer of 1,000 rows", f"details?month={MONTH}&limit=1000"),
            _read(scene, account_id, "a page of 100 fees", f"details?month={MONTH}"),
            _read(scene, account_id, "resources, one answer of 1,000 rows", f"resources?month={MONTH}&limit=1000"),
            _read(scene, account_id, "overview, one month", f"overview?month={MONTH}"),
        ]
        month = MONTH
        for _ in range(11):
            month = previous_month(month)
            put_month(scene, account_id, month)
        readings.append(_read(scene, account_id, "overview, with a year behind it", f"overview?month={MONTH}"))
        figures = [figure for one in readings for figure in _figures(one, scene.now)]
    remark = f"{stored:,.0f} bytes a bill of {len(load().tags)} tags with packages, compressed. Best of many."
    return Section(f"Reading a month's bill of {len(load().tags)} tags and {DAYS} days", figures, (remark,))


def put_month(scene: Scene, account_id: str, month: str) -> float:
    """Lay a month's bills into the table; the size of one as it is stored, in bytes."""
    items = [bill_to_item(account_id, bill) for bill in month_of_bills(first_day(month), last_day(month).day)]
    scene.put_all(scene.names["LedgerTable"], items)
    return sum(len(item["bill"]["B"]) for item in items) / len(items)


def month_of_bills(first: date, days: int = DAYS) -> Iterator[Bill]:
    """A bill a day, each with a line of every tag, partly given by a free and a bought package."""
    for number in range(days):
        day = first + timedelta(days=number)
        charged_at = start_of(day) + timedelta(hours=32)
        version = day.toordinal()
        charges = tuple(_charge(tag.code, day, 1000 + 7 * number + tag.number) for tag in load().tags)
        calls = {charge.tag: charge.lines[0].line.quantities.raw for charge in charges}
        given = tuple(
            Deduction(f"{kind}-20250301000000-000001-{tag.number:03d}-01", tag.code, source, calls_given)
            for tag in load().tags
            for kind, source, calls_given in (("gift", Source.GIFT, _FREE), ("pkg", Source.PURCHASE, _PAID))
        )
        yield Bill(
            f"{day:%Y%m%d}-{version}",
            version,
            TransactionType.POSTPAY_DAILY,
            charged_at,
            month_of(charged_at.date()),
            day,
            day,
            charges,
            (CountedSegment(start_of(day), end_of(day), calls, given),),
        )


def _charge(tag: str, day: date, calls: int) -> BilledCharge:
    price = AppliedPrice(Decimal("0.30"), Decimal("0.30"), Decimal(1))
    line = Line(tag, day, day, Quantities(calls, _FREE, _PAID, calls - _FREE - _PAID), price)
    amount = money.round_to_fen(line.total_cost)
    payment = {Fund.GIFT: amount / 2, Fund.CASH: amount / 2}
    return BilledCharge(tag, amount, payment, (BilledLine(line, payment),))


@dataclass(frozen=True, slots=True)
class _Reading:
    """A request, what it read, and what the clients answered."""

    name: str
    function: str
    event: Any
    pages: int
    units: float
    recorded: list[tuple[str, dict[str, Any]]]


def _read(scene: Scene, account_id: str, name: str, path: str) -> _Reading:
    function, event = request(scene.now, "GET", f"/v1/accounts/{account_id}/bills/{path}")
    with scene.labelled(name), recording() as recorded:
        answer = handler_of(function)(event, None)
    if answer["statusCode"] != 200:  # noqa: PLR2004
        message = f"{path} was answered {answer}"
        raise RuntimeError(message)
    return _Reading(name, function, event, scene.tap.operations(name)["Query"], scene.tap.total(name).read, recorded)


def _figures(one: _Reading, now: datetime) -> Iterator[Figure]:
    yield Figure(f"{one.name}: read pages", one.pages, "", PAGES_TARGET, 0, f"{one.units:.1f} read units")
    name = f"{one.name}: CPU without the AWS client"
    # The target is that of a month; a trend reads twelve.
    target = None if "year" in one.name else MILLISECONDS_TARGET
    yield Figure(name, milliseconds(now, one.function, one.event, one.recorded), "ms", target, 1)
