"""What the verification makes of what is rare: credits, packages that were given back, histories that are gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from rating.allocation import Conditions, Source, allocate
from rating.bill import Bill, TransactionType, billed, counted
from rating.billing import Line, Quantities, ResourceCharge, daily_charges
from rating.civil import end_of
from rating.funds import Fund, Funds, Movement, settle
from rating.history import Switch
from rating.pricing import AppliedPrice, Terms, daily_price
from rating.schedule import Cycle
from rating.verification import (
    Difference,
    Ground,
    Held,
    Kind,
    package_differences,
    taking_differences,
    usage_differences,
)
from rating.verified_money import SETTLEMENT, Page, money_differences
from tests.unit.rating.building import TAG, Book, at, day, package, whole

DAY = day("2025-03-02")
HELD = Held("p", TAG, Source.PURCHASE, 10, at("2025-03-01T09:00:00"), at("2026-03-01T23:59:59"), 3)


def bill(calls: int, given: int = 0, version: int = 9, on: date = DAY) -> Bill:
    """A day's bill, some of whose calls a package gave."""
    there = [package("p", given)] if given else []
    usage = [(whole(on), {TAG: calls})]
    allotments = allocate(usage, there).allotments
    charges = daily_charges(allotments, lambda tag, when: daily_price(Book(), Terms(), tag, when))
    paid = settle(Funds(), [charge.amount for charge in charges])
    return Bill(
        f"bill-{version}",
        version,
        TransactionType.POSTPAY_DAILY,
        end_of(on),
        "2025-03",
        on,
        on,
        billed(charges, paid.shares),
        counted(usage, allotments, there),
    )


def page(one: Bill, *entries: tuple[Fund, str]) -> Page:
    """A page of the journal; every fund held 100 yuan before."""
    balances = dict.fromkeys(Fund, Decimal(100))
    movements = []
    for fund, amount in entries:
        balances[fund] += Decimal(amount)
        movements.append(Movement(fund, Decimal(amount), balances[fund]))
    return Page(SETTLEMENT, one.bill_id, movements)


def ground(*packages: Held, bills: tuple[Bill, ...] = (), **more: object) -> Ground:
    """What bills of a daily account are judged by."""
    return replace(Ground(Cycle.DAILY, Conditions(), Terms(), Book(), packages, bills), **more)  # type: ignore[arg-type]


def kinds(found: list[Difference]) -> list[str]:
    """The kinds of differences."""
    return [one.kind.value for one in found]


@pytest.mark.parametrize(
    "since, until, deducts",
    [(3, None, True), (8, 10, True), (9, None, False), (10, None, False), (3, 9, False), (3, 4, False)],
)
def test_a_package_is_there_between_two_versions(since: int, until: int | None, deducts: bool) -> None:  # noqa: FBT001
    """A bill found the packages that came before it and were not given back before it, and no other."""
    held = replace(HELD, calls=4, since=since, until=until)
    issued = bill(6, given=4)
    found = taking_differences(ground(held, bills=(issued,)), issued, ())
    assert kinds(found) == ([] if deducts else ["deduction"])


def test_earlier_bills_have_used_a_package() -> None:
    """What bills before took of a package is gone, whatever later ones took; each is judged alone."""
    first, second, third = bill(6, 6, 5), bill(6, 4, 6, day("2025-03-03")), bill(1, 0, 7, day("2025-03-04"))
    known = ground(HELD, bills=(third, second, first))
    assert [taking_differences(known, one, ()) for one in (first, second, third)] == [[], [], []]
    short = replace(HELD, calls=9)
    assert [
        kinds(taking_differences(replace(known, packages=(short,)), one, ())) for one in (first, second, third)
    ] == [
        [],
        ["deduction"],
        [],
    ]


def test_a_package_with_less_than_was_taken() -> None:
    """Where bills took more than a package had, it has nothing left, and its calls are a difference."""
    first, second = bill(6, 6, 5), bill(6, 6, 6, day("2025-03-03"))
    assert kinds(taking_differences(ground(HELD, bills=(first, second)), second, ())) == ["deduction"]
    assert kinds(package_differences([HELD], [first, second], {})) == ["package"]


@pytest.mark.parametrize(
    "held, kept, wanted",
    [
        (HELD, {"p": (10, 6)}, []),
        (HELD, {"p": (10, 5)}, ["calls used"]),
        (HELD, {"p": (11, 6)}, ["calls"]),
        (HELD, {}, ["calls used"]),
        (replace(HELD, calls=6), {}, []),
        (replace(HELD, until=12), {}, ["calls used"]),
    ],
)
def test_what_a_package_has_given(held: Held, kept: dict[str, tuple[int, int]], wanted: list[str]) -> None:
    """The wallet says what bills took; one that is gone is used up, or was given back and never used."""
    found = package_differences([held], [bill(6, 6)], kept)
    assert [one.detail for one in found] == wanted
    assert {one.package_id for one in found} <= {"p"}


def test_a_history_that_is_gone_is_not_asked() -> None:
    """Before the first day of which switches are known a bill is believed how it was cut; from then on it is judged."""
    issued = bill(6)
    off = Conditions(postpaid=Switch(initial=False))
    for since, wanted in ((DAY, ["segment"]), (day("2025-03-03"), [])):
        judged = ground(bills=(issued,), conditions=off, switches_since=since)
        assert kinds(taking_differences(judged, issued, ())) == wanted


def test_usage_on_two_bills_names_neither() -> None:
    """A difference of usage names the bill only where it can be of no other."""
    first, second = bill(4, version=5), bill(2, version=6)
    start = first.counted[0].start
    (one,) = usage_differences([(start, {TAG: 7})], [first], waiting=False)
    assert (one.bill_id, one.charged, one.computed, one.pending) == ("bill-5", "4", "7", False)
    (one,) = usage_differences([(start, {TAG: 7})], [first, second], waiting=True)
    assert (one.bill_id, one.charged, one.computed, one.pending) == (None, "6", "7", True)


# --- money -----------------------------------------------------------------------------------------------------


def line(calls: int, price: str) -> Line:
    """A line of March."""
    applied = AppliedPrice(Decimal(price), Decimal(price), Decimal(1), 0)
    return Line(TAG, day("2025-03-01"), day("2025-03-31"), Quantities(raw=calls, postpaid=calls), applied)


def credit() -> Bill:
    """A bill by which late usage of a month pays back, and one tag is charged."""
    back = ResourceCharge(TAG, (line(-990, "0.30"), line(1010, "0.25")))
    more = ResourceCharge("other", (line(10, "0.30"),))
    paid = settle(Funds(cash=Decimal(100)), [back.amount, more.amount])
    return replace(bill(1), charges=billed([back, more], paid.shares))


def test_a_credit_goes_to_cash() -> None:
    """What a month pays back is a credit to cash, beside what the same run deducts; other entries are differences."""
    one = credit()
    assert one.amount == Decimal("-41.50")
    assert money_differences(one, page(one, (Fund.CASH, "44.50"), (Fund.CASH, "-3.00"))) == []
    assert kinds(money_differences(one, page(one, (Fund.CASH, "44.50"), (Fund.CASH, "-2.00")))) == ["journal"]
    by_gift = money_differences(one, page(one, (Fund.CASH, "44.50"), (Fund.GIFT, "-3.00")))
    assert [(found.kind, found.tag) for found in by_gift] == [(Kind.PAYMENT, "other")]


def test_balances_of_a_page_follow() -> None:
    """What a fund holds after a movement is what it held after the one before on the page, and what was moved."""
    one = credit()
    right = page(one, (Fund.CASH, "44.50"), (Fund.CASH, "-3.00"))
    first, second = right.movements
    wrong = replace(right, movements=[first, replace(second, balance_after=second.balance_after + 1)])
    (found,) = money_differences(one, wrong)
    assert (found.kind, found.detail) == (Kind.JOURNAL, "balance of cash")
    assert (found.charged, found.computed) == ("142.50", "141.50")


def test_a_bill_that_moves_nothing_has_no_page() -> None:
    """A day that packages cover needs no page of the journal; one that costs does."""
    assert money_differences(bill(6, given=6), None) == []
    assert kinds(money_differences(bill(6), None)) == ["journal"]


def test_a_voucher_is_named_where_it_paid() -> None:
    """A voucher's entry and the voucher on the bill belong together."""
    one = bill(6)
    paid = page(one, (Fund.VOUCHER, "-1.80"))
    (found,) = money_differences(one, paid)
    assert (found.kind, found.detail) == (Kind.JOURNAL, "voucher")
    assert kinds(money_differences(replace(one, voucher_id="v"), paid)) == ["payment"]


def test_a_part_below_zero_is_told_of_its_charge() -> None:
    """A payment that adds up, but with a part that no split makes, is a difference."""
    one = bill(6)
    (charge,) = one.charges
    odd = replace(charge, payment={Fund.GIFT: Decimal("-0.20"), Fund.CASH: Decimal("2.00")})
    found = money_differences(replace(one, charges=(odd,)), page(one, (Fund.CASH, "-1.80")))
    assert kinds(found) == ["payment"]
