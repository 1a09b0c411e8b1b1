"""The explanation of a monthly line adds up, whatever comes late and whichever step that reaches (D4, D19)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from bills.explained_usage import UsageFacts, packages_step, usage_step
from bills.wording import say
from rating.allocation import Allotment, Conditions, Package, Segment, Source
from rating.bill import Bill, TransactionType, billed, counted
from rating.billing import Line, monthly_charges
from rating.catalog import load
from rating.civil import end_of, start_of
from rating.orders import PackageRecord
from rating.pricing import Terms, monthly_price, price_periods
from tests.property.test_billing import FIRST, LAST, MONTH, TAGS, Book, books, terms

Used = tuple[str, int, int, int, int]
"""Tag, day of the month, and calls: from a gift, from a purchase, and the rest."""
PACKAGES = {
    name: PackageRecord(name, "face_risk", source, 1000, start_of(FIRST))
    for name, source in (("gift", Source.GIFT), ("bought", Source.PURCHASE))
}
WALLET = [
    Package(one.package_id, one.tag, one.source, one.delivered_at, one.ends_at, one.calls) for one in PACKAGES.values()
]
_RUNS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(TAGS), st.integers(0, 27), st.integers(0, 3), st.integers(0, 9), st.integers(0, 40)
        ).filter(lambda one: any(one[2:])),
        min_size=1,
        max_size=5,
        unique_by=lambda one: one[:2],
    ),
    min_size=1,
    max_size=4,
)


def segment_of(day: date) -> Segment:
    """A whole day; on every other one postpaid is off, so that some calls stay uncovered."""
    return Segment(start_of(day), end_of(day), deductible=True, postpaid=day.day % 2 == 0)


def allotment(used: Used) -> Allotment:
    """How the calls are covered."""
    tag, number, free, paid, rest = used
    segment = segment_of(FIRST + timedelta(days=number))
    given_ = tuple((name, calls) for name, calls in (("gift", free), ("bought", paid)) if calls)
    covered = (rest, 0) if segment.postpaid else (0, rest)
    return Allotment(segment, tag, free + paid + rest, given_, free, paid, *covered)


def issue(book: Book, agreed: Terms, runs: Sequence[Sequence[Used]]) -> list[Bill]:
    """The bills of a month, a run each, as the settlement makes them."""
    bills: list[Bill] = []
    settled: list[Line] = []
    for version, run in enumerate(runs, start=1):
        allotments = [allotment(used) for used in run]
        charges = monthly_charges(
            settled,
            allotments,
            partial(monthly_price, book, agreed),
            lambda tag: price_periods(book, agreed, tag, FIRST, LAST),
        )
        settled += [line for charge in charges for line in charge.lines]
        usage: dict[Segment, dict[str, int]] = {}
        for part in allotments:
            usage.setdefault(part.segment, {})[part.tag] = part.calls
        bills.append(
            Bill(
                f"b-{version}",
                version,
                TransactionType.POSTPAY_MONTHLY,
                end_of(LAST),
                MONTH,
                FIRST,
                LAST,
                billed(charges, [{} for _ in charges]),
                counted(sorted(usage.items(), key=lambda one: one[0].start), allotments, WALLET),
            )
        )
    return bills


@given(books(), terms(), _RUNS)
def test_every_line_of_a_month_adds_up(book: Book, agreed: Terms, runs: list[list[Used]]) -> None:
    """Segments and what is carried are the line; over a bill and tag nothing is carried, each segment stands once."""
    bills = issue(book, agreed, runs)
    catalog = load()
    for bill in bills:
        carried: Counter[tuple[str, str]] = Counter()
        shown: list[tuple[str, str]] = []
        for charge in bill.charges:
            for fee in charge.lines:
                line, quantities = fee.line, fee.line.quantities
                facts = UsageFacts(bill, line, bills, PACKAGES, (), Conditions(), agreed, catalog)
                usage, packages = usage_step(facts), packages_step(facts)
                shown += [(line.tag, one["start"]) for one in usage["segments"]]
                for part in usage["carried"]:
                    own = sum(one["calls" if part == "raw_quantity" else part] for one in usage["segments"])
                    assert own + usage["carried"][part] == usage[part]
                    carried[line.tag, part] += usage["carried"][part]
                # What is taken back was counted by earlier bills; what was counted now is on a line that charges.
                assert (quantities.raw < 0) == (usage["carried"]["raw_quantity"] < 0)
                assert quantities.raw > 0 or not usage["segments"]
                for said in (say(step, locale) for step in (usage, packages) for locale in ("zh-CN", "en")):
                    assert said
                    assert not re.search(r"(?<![\w-])-\d", said), said
                gave = sum(one["calls"] for one in packages["packages"])
                assert gave + usage["carried"]["deducted_quantity"] == quantities.deducted
                earlier = sum(
                    one.calls.get(line.tag, 0)
                    for before in bills[: bill.version - 1]
                    for one in before.counted
                    if start_of(line.first_day) <= one.start < end_of(line.last_day)
                )
                assert sum(one["calls"] for one in usage["earlier"]) == earlier
        assert not any(carried.values())
        assert sorted(shown) == sorted((tag, one.start.isoformat()) for one in bill.counted for tag in one.calls)
