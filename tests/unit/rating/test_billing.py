"""Billing: lines to 8 decimals, charges to the fen, a month priced as a whole and again (D15, D19)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rating.allocation import Allotment, allocate
from rating.billing import Line, Quantities, ResourceCharge, daily_charges, monthly_charges, quantities_by_day
from rating.catalog import load
from rating.pricing import AppliedPrice, ContractPrice, Discount, Terms
from tests.unit.rating.building import TAG, Book, Month, day, month, package, postpaid, steps, whole

CATALOG = load()
MARCH = month("2025-03", CATALOG)
CARD = "bank_card_check"
Row = tuple[int, int, int, str, str]


def _flat(price: str) -> AppliedPrice:
    return AppliedPrice(Decimal(price), Decimal(price), Decimal(1))


def _run(how: Month, settled: Sequence[Line], *allotments: Allotment) -> tuple[ResourceCharge, ...]:
    return monthly_charges(settled, allotments, how.price_of, how.periods_of)


def _rows(charge: ResourceCharge) -> list[Row]:
    """First and last day, charged calls, unit price, cost."""
    return [
        (
            line.first_day.day,
            line.last_day.day,
            line.quantities.postpaid,
            str(line.price.unit_price),
            format(line.total_cost, "f"),
        )
        for line in charge.lines
    ]


# --- lines and charges ----------------------------------------------------------------------------------------


def test_a_line_is_price_times_quantity() -> None:
    """Cost is unit price x charged calls, original cost list price x charged calls, both to 8 decimals (D15)."""
    price = AppliedPrice(Decimal("0.13332"), Decimal("0.40"), Decimal("0.3333"))
    line = Line(TAG, day("2025-03-01"), day("2025-03-01"), Quantities(10, 1, 2, 7, 0), price)
    assert str(line.total_cost) == "0.93324000"
    assert str(line.original_cost) == "2.80000000"
    assert line.quantities.deducted == 3


def test_a_line_under_a_contract_price_has_no_original_cost() -> None:
    """Where no list price is shown there is no original cost (D18; facts.md 3.6)."""
    line = Line(
        TAG, day("2025-03-01"), day("2025-03-01"), Quantities(1, postpaid=1), AppliedPrice(Decimal(1), None, None)
    )
    assert line.original_cost is None


def test_a_charge_is_the_rounded_sum_of_its_lines() -> None:
    """Lines of one resource are added first and rounded once: 0.0105 + 0.0105 is 0.02, 0.0175 + 0.0175 is 0.04."""
    first, last = day("2025-03-01"), day("2025-03-31")

    def charge(*calls: int) -> ResourceCharge:
        lines = (Line("face_risk", first, last, Quantities(n, postpaid=n), _flat("0.0035")) for n in calls)
        return ResourceCharge("face_risk", tuple(lines))

    assert str(charge(3, 3).amount) == "0.02"
    assert str(charge(5, 5).amount) == "0.04"
    assert str(charge(5, 5).details) == "0.03500000"
    assert str(charge(-5, -5).amount) == "-0.04"


def test_a_daily_charge_has_one_line_a_tag_by_tag() -> None:
    """A day is one line a tag, with all its usage, tags in order (D15; contract, Bills)."""
    on = day("2025-03-01")
    allocation = allocate([(whole(on), {"photo_v2": 2, CARD: 5}), (whole(on), {CARD: 1})], [package("p", 4, tag=CARD)])
    charges = daily_charges(allocation.allotments, lambda tag, _: _flat("0.60" if tag == CARD else "1.00"))
    assert [(charge.tag, str(charge.amount)) for charge in charges] == [(CARD, "1.20"), ("photo_v2", "2.00")]
    assert charges[0].lines == (Line(CARD, on, on, Quantities(6, 0, 4, 2, 0), _flat("0.60")),)


def test_a_day_covered_by_packages_has_a_line_of_cost_0() -> None:
    """Usage that costs nothing is on the bill all the same (contract, Bills)."""
    on = day("2025-03-01")
    allocation = allocate([(whole(on), {TAG: 3})], [package("p", 3)])
    (charge,) = daily_charges(allocation.allotments, lambda _tag, _day: _flat("0.30"))
    assert charge.amount == 0
    assert charge.lines[0].quantities == Quantities(3, 0, 3, 0, 0)


def test_uncovered_calls_are_shown_and_not_charged() -> None:
    """With postpaid off the rest is a quantity without a price (D14)."""
    on = day("2025-03-01")
    allocation = allocate([(whole(on, postpaid=False), {TAG: 5})], [package("p", 3)])
    (charge,) = daily_charges(allocation.allotments, lambda _tag, _day: _flat("0.30"))
    assert charge.amount == 0
    assert charge.lines[0].quantities == Quantities(5, 0, 3, 0, 2)


def test_each_day_is_priced_by_itself() -> None:
    """Allotments of two days are two charges at their own days' prices (D15, D20)."""
    first, second = day("2025-03-01"), day("2025-03-02")
    charges = daily_charges(
        [postpaid(second, 10), postpaid(first, 10)], lambda _, on: _flat("0.30" if on == first else "0.50")
    )
    assert [(charge.lines[0].first_day, str(charge.amount)) for charge in charges] == [
        (first, "3.00"),
        (second, "5.00"),
    ]


def test_quantities_add_up_and_take_off() -> None:
    """Sums by tag and day; a difference takes back each part."""
    on = day("2025-03-01")
    sums = quantities_by_day([postpaid(on, 2, paid=3), postpaid(on, 4)])
    assert sums == {(TAG, on): Quantities(9, 0, 3, 6, 0)}
    one = Quantities(10, 1, 2, 3, 4)
    assert one.minus(Quantities(1, 1, 1, 1, 1)) == Quantities(9, 0, 1, 2, 3)
    assert one.minus(one) == Quantities()


# --- a month --------------------------------------------------------------------------------------------------


def test_the_whole_month_is_priced_at_the_step_it_reaches() -> None:
    """600 and 400 calls on two days are 1,000 at the second step's price, on one line (D19)."""
    (charge,) = _run(MARCH, (), postpaid(day("2025-03-02"), 600, CARD), postpaid(day("2025-03-30"), 400, CARD))
    assert _rows(charge) == [(1, 31, 1000, "0.38", "380.00000000")]
    assert str(charge.amount) == "380.00"


def test_what_packages_left_picks_the_step() -> None:
    """15,000 calls with a package of 10,000 are 5,000 at the second step, not the third (D19; facts.md 2.2)."""
    on = day("2025-03-10")
    allocation = allocate([(whole(on), {CARD: 15_000})], [package("p", 10_000, tag=CARD)])
    (charge,) = _run(MARCH, (), *allocation.allotments)
    assert _rows(charge) == [(1, 31, 5000, "0.38", "1900.00000000")]
    assert charge.lines[0].quantities == Quantities(15_000, 0, 10_000, 5_000, 0)


def test_uncovered_calls_do_not_reach_a_step() -> None:
    """Calls that nobody pays for do not make the others cheaper (D14, D19)."""
    on = day("2025-03-10")
    allocation = allocate([(whole(on), {CARD: 999}), (whole(on, postpaid=False), {CARD: 500})], ())
    (charge,) = _run(MARCH, (), *allocation.allotments)
    assert _rows(charge) == [(1, 31, 999, "0.40", "399.60000000")]


def test_each_tag_has_its_own_step() -> None:
    """The calls of one tag do not lift another one's (D19)."""
    on = day("2025-03-10")
    charges = _run(MARCH, (), postpaid(on, 999, TAG), postpaid(on, 999, CARD), postpaid(on, 5000, "photo_v2"))
    assert [(charge.tag, str(charge.amount)) for charge in charges] == [
        (CARD, "399.60"),
        (TAG, "299.70"),
        ("photo_v2", "5000.00"),
    ]


def test_a_price_change_gives_one_line_a_period_at_one_step() -> None:
    """The month's total picks the step for all its days, each day at that step's price of its own (D19)."""
    how = month(
        "2025-03",
        Book(
            tiers={TAG: steps((0, "0.40"), (10, "0.30"))},
            changes_on=day("2025-03-15"),
            tiers_later={TAG: steps((0, "0.50"), (10, "0.20"))},
        ),
    )
    (charge,) = _run(how, (), *(postpaid(day(text), 4) for text in ("2025-03-01", "2025-03-14", "2025-03-15")))
    assert _rows(charge) == [(1, 14, 8, "0.30", "2.40000000"), (15, 31, 4, "0.20", "0.80000000")]
    assert str(charge.amount) == "3.20"


def test_calls_under_a_contract_price_count_for_the_step() -> None:
    """What packages left of the whole month picks the step, however those calls are priced (D18, D19)."""
    terms = Terms((), (ContractPrice(CARD, Decimal("0.10"), day("2025-03-20")),))
    how = month("2025-03", CATALOG, terms)
    (charge,) = _run(how, (), postpaid(day("2025-03-01"), 500, CARD), postpaid(day("2025-03-20"), 500, CARD))
    assert _rows(charge) == [(1, 19, 500, "0.38", "190.00000000"), (20, 31, 500, "0.10", "50.00000000")]


def test_a_discount_of_part_of_the_month_is_a_line_of_its_own() -> None:
    """Discounted days are priced at the month's step and their own rate (D18, D19)."""
    terms = Terms((Discount(CARD, Decimal("0.5"), day("2025-03-20")),))
    how = month("2025-03", CATALOG, terms)
    (charge,) = _run(how, (), postpaid(day("2025-03-01"), 500, CARD), postpaid(day("2025-03-20"), 500, CARD))
    assert _rows(charge) == [(1, 19, 500, "0.38", "190.00000000"), (20, 31, 500, "0.190", "95.00000000")]


# --- late usage -----------------------------------------------------------------------------------------------


def test_late_usage_that_reaches_a_step_takes_the_month_back() -> None:
    """990 at 0.40 and 10 more are 1,000 at 0.38: the old line is taken back and 16.00 credited (D19)."""
    (first,) = _run(MARCH, (), postpaid(day("2025-03-02"), 990, CARD))
    (late,) = _run(MARCH, first.lines, postpaid(day("2025-03-20"), 10, CARD))
    assert str(first.amount) == "396.00"
    assert _rows(late) == [(1, 31, -990, "0.40", "-396.00000000"), (1, 31, 1000, "0.38", "380.00000000")]
    assert str(late.amount) == "-16.00"


def test_late_usage_within_a_step_is_charged_alone() -> None:
    """Where the step stays the new calls are one more line (D19)."""
    (first,) = _run(MARCH, (), postpaid(day("2025-03-02"), 980, CARD))
    (late,) = _run(MARCH, first.lines, postpaid(day("2025-03-20"), 10, CARD))
    assert _rows(late) == [(1, 31, 10, "0.40", "4.00000000")]


def test_late_usage_may_reach_a_step_and_still_cost() -> None:
    """500 at 0.40 and 600 more are 1,100 at 0.38: 218.00 to pay (D19)."""
    (first,) = _run(MARCH, (), postpaid(day("2025-03-02"), 500, CARD))
    (late,) = _run(MARCH, first.lines, postpaid(day("2025-03-02"), 600, CARD))
    assert str(late.amount) == "218.00"


def test_late_usage_after_late_usage() -> None:
    """A third run sees what both before it issued, corrections included (D19)."""
    settled: list[Line] = []
    amounts = []
    for calls in (990, 10, 9_000, 1):
        (charge,) = _run(MARCH, settled, postpaid(day("2025-03-02"), calls, CARD))
        settled += charge.lines
        amounts.append(str(charge.amount))
    assert amounts == ["396.00", "-16.00", "3220.00", "0.36"]
    assert sum(Decimal(amount) for amount in amounts) == Decimal("0.36") * 10_001


def test_late_usage_re_prices_every_period_of_the_month() -> None:
    """A step reached late changes the lines of both price periods (D19)."""
    how = month(
        "2025-03",
        Book(
            tiers={TAG: steps((0, "0.40"), (10, "0.30"))},
            changes_on=day("2025-03-15"),
            tiers_later={TAG: steps((0, "0.50"), (10, "0.20"))},
        ),
    )
    (first,) = _run(how, (), postpaid(day("2025-03-01"), 4), postpaid(day("2025-03-20"), 5))
    (late,) = _run(how, first.lines, postpaid(day("2025-03-20"), 1))
    assert _rows(first) == [(1, 14, 4, "0.40", "1.60000000"), (15, 31, 5, "0.50", "2.50000000")]
    assert _rows(late) == [
        (1, 14, -4, "0.40", "-1.60000000"),
        (15, 31, -5, "0.50", "-2.50000000"),
        (1, 14, 4, "0.30", "1.20000000"),
        (15, 31, 6, "0.20", "1.20000000"),
    ]


def test_late_usage_of_one_tag_leaves_the_others_alone() -> None:
    """Only tags with new usage are priced again."""
    on = day("2025-03-02")
    first = _run(MARCH, (), postpaid(on, 5, CARD), postpaid(on, 5, TAG))
    late = _run(MARCH, [line for charge in first for line in charge.lines], postpaid(on, 1, CARD))
    assert [(charge.tag, str(charge.amount)) for charge in late] == [(CARD, "0.40")]


def test_late_usage_that_packages_cover_is_a_line_of_cost_0() -> None:
    """Late calls given by a package are shown, and the step stays (D4, D19)."""
    on = day("2025-03-02")
    (first,) = _run(MARCH, (), postpaid(on, 999, CARD))
    (late,) = _run(MARCH, first.lines, postpaid(on, 0, CARD, paid=50))
    assert _rows(late) == [(1, 31, 0, "0.40", "0.00000000")]
    assert late.lines[0].quantities == Quantities(50, 0, 50, 0, 0)


def test_a_month_without_new_usage_is_not_charged() -> None:
    """No usage, no charge."""
    assert _run(MARCH, ()) == ()
    (first,) = _run(MARCH, (), postpaid(day("2025-03-02"), 999, CARD))
    assert _run(MARCH, first.lines) == ()
