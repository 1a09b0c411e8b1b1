"""The steps of a line of usage: what was counted, who covered it, and at which price (D4, D9, D14, D18 to D20).

What was charged is taken from the bills alone; the records of packages, prices and terms only say where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from bills.explanation_models import Step
from rating import money
from rating.allocation import Conditions, Source
from rating.bill import Bill, CountedSegment, TransactionType
from rating.billing import Line, Quantities
from rating.catalog import Catalog, MonthlyPrice, UnitPrice, load
from rating.civil import ONE_SECOND, day_of, rfc3339
from rating.history import covered
from rating.orders import PackageRecord, package_name
from rating.pricing import Terms
from rating.schedule import Cycle


@dataclass(frozen=True, slots=True)
class UsageFacts:
    """A line of usage with everything that its explanation depends on."""

    bill: Bill
    line: Line
    period: Sequence[Bill]
    """All bills of the same usage day, or month, this one among them, in the order of their issue."""
    packages: Mapping[str, PackageRecord]
    """Those that gave something for the line, by id."""
    gifts: Sequence[PackageRecord]
    """All gifts that the account ever had: only they end inside a day (D11)."""
    conditions: Conditions
    terms: Terms
    catalog: Catalog

    @property
    def cycle(self) -> Cycle:
        """How the account is settled."""
        monthly = self.bill.transaction_type is TransactionType.POSTPAY_MONTHLY
        return Cycle.MONTHLY if monthly else Cycle.DAILY

    @property
    def before(self) -> list[Bill]:
        """The bills that were issued earlier."""
        return [bill for bill in self.period if bill.version < self.bill.version]

    def segments(self, bill: Bill) -> list[CountedSegment]:
        """What a bill counted of the line's tag on the line's days."""
        first, last = self.line.first_day, self.line.last_day
        return [one for one in bill.counted if first <= day_of(one.start) <= last and one.calls.get(self.line.tag)]

    def takes_counted(self) -> bool:
        """Whether the bill's counted calls stand on this line.

        Where late usage prices a month again, lines of one period take back what others charge anew: all but one
        have less than nothing (D19).
        """
        same = [
            line.quantities.raw
            for line in lines_of(self.bill, self.line.tag)
            if (line.first_day, line.last_day) == (self.line.first_day, self.line.last_day)
        ]
        return self.line.quantities.raw == max(same)


def lines_of(bill: Bill, tag: str) -> list[Line]:
    """The lines of a tag's usage."""
    return [fee.line for charge in bill.charges if charge.tag == tag for fee in charge.lines]


def usage_step(facts: UsageFacts) -> Step:
    """Which calls were counted, segment by segment; why days are cut; what earlier bills had taken."""
    line = facts.line
    segments = facts.segments(facts.bill) if facts.takes_counted() else []
    counted = sum_of(segments, line.tag)
    earlier = [(bill, sum_of(facts.segments(bill), line.tag).raw) for bill in facts.before]
    return {
        "step": "usage",
        **_quantities(line.quantities),
        "first_day": line.first_day.isoformat(),
        "last_day": line.last_day.isoformat(),
        "segments": [_segment(facts, segment) for segment in segments],
        "carried": _quantities(line.quantities.minus(counted)),
        "earlier": [
            {"bill_id": bill.bill_id, "charged_at": rfc3339(bill.charged_at), "calls": calls}
            for bill, calls in earlier
            if calls
        ],
    }


def packages_step(facts: UsageFacts) -> Step:
    """Which package gave how much, in the order of use (D9); what was left was charged, or nobody paid for it."""
    line = facts.line
    given = [
        _package(facts, segment, deduction.package_id, deduction.calls)
        for segment in (facts.segments(facts.bill) if facts.takes_counted() else [])
        for deduction in segment.deductions
        if deduction.tag == line.tag
    ]
    return {
        "step": "packages",
        "packages": given,
        "free": line.quantities.free,
        "paid": line.quantities.paid,
        "deducted_quantity": line.quantities.deducted,
        "quantity": line.quantities.postpaid,
        "uncovered_quantity": line.quantities.uncovered,
    }


def price_step(facts: UsageFacts) -> Step:
    """The list price, or the step that the month reached; the discount, or the contract price instead of both."""
    line, price = facts.line, facts.line.price
    step: Step = {
        "step": "price",
        "price_list": None,
        "list_price": None if price.list_price is None else money.price(price.list_price),
        "listed_from": None,
        "set_by": None,
        "tier_from_calls": price.tier_from_calls,
        "month_quantity": None if price.tier_from_calls is None else _month_quantity(facts),
        "discount_rate": None if price.discount_rate is None else format(price.discount_rate, "f"),
        "discount": None,
        "contract_price": None,
        "unit_price": money.price(price.unit_price),
    }
    if price.list_price is None:
        agreed = next(
            (one for one in facts.terms.contract_prices if one.tag == line.tag and one.holds(line.first_day)), None
        )
        step["contract_price"] = agreed and {
            "unit_price": money.price(agreed.unit_price),
            **_days(agreed.first_day, agreed.until),
        }
        return step
    listed, known = (_listed(catalog, line) for catalog in (facts.catalog, load()))
    step["price_list"] = "daily" if isinstance(listed, UnitPrice) else "monthly"
    step["listed_from"] = listed.from_day and listed.from_day.isoformat()
    step["set_by"] = "catalog" if listed == known else "operator"
    discount = next((one for one in facts.terms.discounts if one.tag == line.tag and one.holds(line.first_day)), None)
    step["discount"] = discount and {"rate": format(discount.rate, "f"), **_days(discount.first_day, discount.until)}
    return step


def sum_of(segments: Iterable[CountedSegment], tag: str) -> Quantities:
    """How the calls of a tag were covered over some segments."""
    total = Quantities()
    for segment in segments:
        total = total.plus(segment.quantities().get(tag, Quantities()))
    return total


def _segment(facts: UsageFacts, segment: CountedSegment) -> dict[str, Any]:
    quantities = segment.quantities()[facts.line.tag]
    return {
        "day": day_of(segment.start).isoformat(),
        "start": rfc3339(segment.start),
        "end": rfc3339(segment.end),
        "begins_with": _causes(facts, segment.start),
        "ends_with": _causes(facts, segment.end),
        "stopped": covered(facts.conditions.stops, segment.start),
        "postpaid": segment.postpaid,
        "calls": quantities.raw,
        "deducted_quantity": quantities.deducted,
        "quantity": quantities.postpaid,
        "uncovered_quantity": quantities.uncovered,
    }


def _causes(facts: UsageFacts, instant: datetime) -> list[dict[str, str | None]]:
    """What happened at an instant at which a day is cut; nothing at midnight."""
    before = {one.postpaid for bill in facts.period for one in bill.counted if one.end == instant}
    after = {one.postpaid for bill in facts.period for one in bill.counted if one.start == instant}
    if not before or not after or day_of(instant) != day_of(instant - ONE_SECOND):
        return []
    causes: list[str] = []
    if before != after:
        causes.append("postpaid_on" if True in after else "postpaid_off")
    causes += ["stop_began" for stop in facts.conditions.stops if stop.start == instant]
    causes += ["stop_ended" for stop in facts.conditions.stops if stop.end == instant]
    causes += ["released" for release in facts.conditions.releases if release == instant]
    ended = [one.package_id for one in facts.gifts if one.ends_at + ONE_SECOND == instant]
    found: list[tuple[str, str | None]] = [(cause, None) for cause in causes]
    found += [("package_ended", package_id) for package_id in ended]
    return [{"cause": cause, "package_id": package_id} for cause, package_id in found]


def _package(facts: UsageFacts, segment: CountedSegment, package_id: str, calls: int) -> dict[str, Any]:
    record = facts.packages[package_id]
    return {
        "package_id": package_id,
        "name": package_name(facts.catalog.tag(record.tag).name, record.calls),
        "source": "gift" if record.source is Source.GIFT else "purchase",
        "delivered_at": rfc3339(record.delivered_at),
        "ends_at": rfc3339(record.ends_at),
        "start": rfc3339(segment.start),
        "end": rfc3339(segment.end),
        "calls": calls,
    }


def _month_quantity(facts: UsageFacts) -> int:
    """What packages had left of the month when the line's step was picked: with this bill, or before it (D19)."""
    bills = [*facts.before, facts.bill] if facts.takes_counted() else facts.before
    return sum(line.quantities.postpaid for bill in bills for line in lines_of(bill, facts.line.tag))


def _listed(catalog: Catalog, line: Line) -> UnitPrice | MonthlyPrice:
    """The listed price that the line used."""
    if line.price.tier_from_calls is not None:
        tiers = catalog.dated_tiers(line.tag, line.first_day)
        if tiers is not None:
            return tiers
    return catalog.dated_price(line.tag, line.first_day)


def _quantities(quantities: Quantities) -> dict[str, int]:
    return {
        "raw_quantity": quantities.raw,
        "deducted_quantity": quantities.deducted,
        "quantity": quantities.postpaid,
        "uncovered_quantity": quantities.uncovered,
    }


def _days(first: date, until: date | None) -> dict[str, str | None]:
    return {"from": first.isoformat(), "until": until.isoformat() if until else None}
