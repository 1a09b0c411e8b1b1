"""Bills as FOCUS 1.2, case by case: what a line, a package, a refund and a correction say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from aws_platform.bill_rows import Row, detail_rows
from aws_platform.bills import precision_bill
from exports.focus import FOCUS_COLUMNS, BillingAccount, Bought, Known, focus_rows
from exports.texts import printed
from rating.allocation import Source
from rating.bill import (
    Bill,
    BilledCharge,
    BilledLine,
    CountedSegment,
    Deduction,
    TransactionType,
    bill_of_day,
    single_charge,
)
from rating.billing import Line, Quantities
from rating.catalog import load
from rating.civil import end_of, month_of, start_of
from rating.funds import Fund
from rating.orders import resource_of
from rating.pricing import AppliedPrice
from tests.support.focus_columns import COLUMNS
from tests.support.focus_rules import Cells, violations
from tests.unit.rating.building import at, day

CATALOG = load()
NAMES = [column.name for column in FOCUS_COLUMNS]
TAG = "identity_check"
LISTED = AppliedPrice(Decimal("0.24"), Decimal("0.30"), Decimal("0.8"))
FEBRUARY, MARCH = day("2025-02-28"), day("2025-03-01")


def _bill(
    *lines: Line,
    deductions: tuple[Deduction, ...] = (),
    kind: TransactionType = TransactionType.POSTPAY_DAILY,
    charged_on: date = MARCH,
) -> Bill:
    """A run's bill of one tag; its first line has all the money."""
    first, last = lines[0].first_day, lines[0].last_day
    paid = [BilledLine(line, {Fund.CASH: Decimal("0.24")} if line is lines[0] else {}) for line in lines]
    charge = BilledCharge(TAG, Decimal("0.24"), {Fund.CASH: Decimal("0.24")}, tuple(paid))
    segment = CountedSegment(start_of(first), end_of(first), {TAG: 1}, deductions)
    month = month_of(charged_on)
    return Bill("20250228-7", 7, kind, start_of(charged_on), month, first, last, (charge,), (segment,))


def _line(price: AppliedPrice = LISTED, last: date = FEBRUARY, **quantities: int) -> Line:
    return Line(TAG, FEBRUARY, last, Quantities(raw=sum(quantities.values()), **quantities), price)


def _at_once(kind: TransactionType, on: date, charge: BilledCharge) -> Bill:
    bill = bill_of_day("order-1", 1, kind, start_of(on), (charge,))
    return replace(bill, order_id="order-1") if kind.prepaid else bill


def _package(number: int, on: date, delivered: str = "2025-02-27T09:00:00") -> BilledCharge:
    """A package of 1,000 calls for 200 of 250 yuan, bought (1) or paid back (-1)."""
    price = AppliedPrice(Decimal(200), Decimal(250), Decimal("0.8"))
    payment = {Fund.VOUCHER: Decimal(50), Fund.CASH: Decimal(150)}
    return single_charge(TAG, on, number, price, payment, resource_of("pkg-1", 1000, at(delivered)))


def _adjustment(amount: str, corrects: str | None = None) -> Bill:
    charge = single_charge("", MARCH, 1, AppliedPrice(Decimal(amount), None, None), {Fund.CASH: Decimal(amount)})
    return replace(_at_once(TransactionType.ADJUSTMENT, MARCH, charge), reason="赔付", corrects=corrects)


def _bought(package_id: str) -> Bought:
    assert package_id == "pkg-1"
    return Bought(Decimal(200), 1000)


KNOWN = Known(_bought, {"february-1": "2025-02", "march-1": "2025-03"}.get)


def _rows(*bills: Bill, provider: str = "Zhangben") -> list[Cells]:
    """What a file of these bills has in it, as text; every such file keeps to the specification."""
    account = BillingAccount("acct-1", "某某科技", provider)
    rows: list[Cells] = [
        {
            column.name: None if value is None else printed(column.kind, value)
            for column, value in zip(FOCUS_COLUMNS, values, strict=True)
        }
        for values in focus_rows(detail_rows(bills), account, CATALOG, KNOWN)
    ]
    assert list(violations(NAMES, rows)) == []
    return rows


def _parts(cells: Cells, names: str) -> dict[str, str | None]:
    return {name: cells[name] for name in names.split()}


def test_a_postpaid_line_is_usage_at_its_price() -> None:
    """Two calls at 0.30 with a discount of 0.8: list, contracted, billed and effective cost are what they say."""
    (cells,) = _rows(_bill(_line(postpaid=2)))
    assert _parts(cells, "ChargeCategory ChargeClass ChargeFrequency PricingCategory x_Coverage x_PackageId") == {
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeFrequency": "Usage-Based",
        "PricingCategory": "Standard",
        "x_Coverage": "Postpaid",
        "x_PackageId": None,
    }
    assert _parts(cells, "ListCost ContractedCost BilledCost EffectiveCost ListUnitPrice ContractedUnitPrice") == {
        "ListCost": "0.60000000",
        "ContractedCost": "0.48000000",
        "BilledCost": "0.48000000",
        "EffectiveCost": "0.48000000",
        "ListUnitPrice": "0.30",
        "ContractedUnitPrice": "0.24",
    }
    assert _parts(cells, "PricingQuantity PricingUnit ConsumedQuantity ConsumedUnit") == {
        "PricingQuantity": "2.00",
        "PricingUnit": "Requests",
        "ConsumedQuantity": "2.00",
        "ConsumedUnit": "Requests",
    }


def test_periods_are_in_utc_and_their_ends_are_not_in_them() -> None:
    """The usage of 28 February, charged on 1 March, is of March's billing period; both are Shanghai's days (D1)."""
    (cells,) = _rows(_bill(_line(postpaid=1)))
    assert _parts(cells, "BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd x_ChargedAt") == {
        "BillingPeriodStart": "2025-02-28T16:00:00Z",
        "BillingPeriodEnd": "2025-03-31T16:00:00Z",
        "ChargePeriodStart": "2025-02-27T16:00:00Z",
        "ChargePeriodEnd": "2025-02-28T16:00:00Z",
        "x_ChargedAt": "2025-02-28T16:00:00Z",
    }


def test_what_packages_gave_is_in_rows_of_its_own() -> None:
    """Of 16 calls a free package gave 10, a bought one 3 at 0.20 each, 2 are charged and 1 is neither (D14)."""
    given = (Deduction("gift-1", TAG, Source.GIFT, 10), Deduction("pkg-1", TAG, Source.PURCHASE, 3))
    rows = _rows(_bill(_line(free=10, paid=3, postpaid=2, uncovered=1), deductions=given))
    found = [
        tuple(
            cells[name]
            for name in (
                "x_Coverage",
                "x_PackageId",
                "ConsumedQuantity",
                "ContractedCost",
                "BilledCost",
                "EffectiveCost",
            )
        )
        for cells in rows
    ]
    assert found == [
        ("Free Package", "gift-1", "10.00", "2.40000000", "0.00000000", "0.00000000"),
        ("Purchased Package", "pkg-1", "3.00", "0.72000000", "0.00000000", "0.60000000"),
        ("Uncovered", None, "1.00", "0.00000000", "0.00000000", "0.00000000"),
        ("Postpaid", None, "2.00", "0.48000000", "0.48000000", "0.48000000"),
    ]
    assert {cells["x_TransactionId"] for cells in rows} == {"20250228-7-1"}
    assert [cells["x_CashPaid"] for cells in rows] == [None, None, None, "0.24"]


def test_other_tags_and_days_have_their_own_deductions() -> None:
    """A line has what packages gave to its tag on its days, whatever else the bill counted."""
    other = Deduction("pkg-2", "eid_authority", Source.PURCHASE, 5)
    bill = _bill(_line(paid=3), deductions=(Deduction("pkg-1", TAG, Source.PURCHASE, 3), other))
    later = CountedSegment(start_of(MARCH), end_of(MARCH), {}, (Deduction("pkg-1", TAG, Source.PURCHASE, 9),))
    bill = replace(bill, counted=(*bill.counted, later), charges=(_unpaid(bill.charges[0]),))
    (cells,) = _rows(bill)
    assert _parts(cells, "x_PackageId ConsumedQuantity") == {"x_PackageId": "pkg-1", "ConsumedQuantity": "3.00"}


def _unpaid(charge: BilledCharge) -> BilledCharge:
    return replace(charge, lines=tuple(replace(fee, payment={}) for fee in charge.lines))


def test_a_package_that_was_bought_is_a_purchase_without_effective_cost() -> None:
    """Its cost is that of the calls to come; the period is the one in which it may be used (D10, D11)."""
    (cells,) = _rows(_at_once(TransactionType.PREPAY_PURCHASE, day("2025-02-27"), _package(1, day("2025-02-27"))))
    assert _parts(cells, "ChargeCategory ChargeClass BilledCost EffectiveCost ListCost ContractedCost") == {
        "ChargeCategory": "Purchase",
        "ChargeClass": None,
        "BilledCost": "200.00000000",
        "EffectiveCost": "0.00000000",
        "ListCost": "250.00000000",
        "ContractedCost": "200.00000000",
    }
    assert _parts(cells, "SkuId PricingQuantity PricingUnit ConsumedQuantity ChargePeriodStart ChargePeriodEnd") == {
        "SkuId": f"{TAG}:1000",
        "PricingQuantity": "1.00",
        "PricingUnit": "Packages",
        "ConsumedQuantity": None,
        "ChargePeriodStart": "2025-02-26T16:00:00Z",
        "ChargePeriodEnd": "2026-02-27T16:00:00Z",
    }
    assert _parts(cells, "x_VoucherPaid x_CashPaid") == {"x_VoucherPaid": "50.00", "x_CashPaid": "150.00"}


@pytest.mark.parametrize("on, expected", [("2025-02-28", None), ("2025-03-01", "Correction")])
def test_a_refund_is_a_negative_purchase(on: str, expected: str | None) -> None:
    """It takes back what was billed; where that was in a month that is over it is a correction."""
    (cells,) = _rows(_at_once(TransactionType.PREPAY_REFUND, day(on), _package(-1, day(on))))
    assert _parts(cells, "ChargeCategory ChargeClass BilledCost EffectiveCost PricingQuantity ContractedUnitPrice") == {
        "ChargeCategory": "Purchase",
        "ChargeClass": expected,
        "BilledCost": "-200.00000000",
        "EffectiveCost": "0.00000000",
        "PricingQuantity": "-1.00",
        "ContractedUnitPrice": "200.00",
    }


@pytest.mark.parametrize(
    "amount, corrects, category, expected",
    [
        ("-5.00", None, "Credit", None),
        ("-5.00", "march-1", "Credit", None),
        ("-5.00", "february-1", "Credit", "Correction"),
        ("5.00", "february-1", "Adjustment", "Correction"),
        ("5.00", "top-up-3", "Adjustment", None),
    ],
)
def test_an_adjustment_has_no_price(amount: str, corrects: str | None, category: str, expected: str | None) -> None:
    """A compensation is a credit; what names a transaction of a month that is over is a correction."""
    (cells,) = _rows(_adjustment(amount, corrects))
    assert _parts(cells, "ChargeCategory ChargeClass x_Reason x_CorrectedTransactionId") == {
        "ChargeCategory": category,
        "ChargeClass": expected,
        "x_Reason": "赔付",
        "x_CorrectedTransactionId": corrects,
    }
    costs = {cells[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")}
    assert costs == {f"{amount}000000"}
    assert {cells[name] for name in ("SkuId", "PricingQuantity", "ListUnitPrice", "ResourceId")} == {None}


def test_the_precision_row_closes_its_month() -> None:
    """It is an adjustment of the whole month that it closes, in that month's billing period (D15)."""
    bill = precision_bill("2025-02", 9, Decimal("0.01"), Decimal("0.0125"), start_of(MARCH))
    (cells,) = _rows(bill)
    assert _parts(cells, "ChargeCategory BilledCost BillingPeriodStart ChargePeriodStart ChargePeriodEnd") == {
        "ChargeCategory": "Adjustment",
        "BilledCost": "-0.00250000",
        "BillingPeriodStart": "2025-01-31T16:00:00Z",
        "ChargePeriodStart": "2025-01-31T16:00:00Z",
        "ChargePeriodEnd": "2025-02-28T16:00:00Z",
    }


def test_a_month_priced_again_corrects_itself() -> None:
    """What is taken back and what replaces it are corrections; calls of packages are there once, as new usage (D19)."""
    old, new = (
        AppliedPrice(Decimal(one), Decimal(one), Decimal(1), tier) for one, tier in (("0.40", 0), ("0.38", 1000))
    )
    bill = _bill(
        _line(old, last=MARCH, postpaid=-900, paid=-50),
        _line(new, last=MARCH, postpaid=1100, paid=53),
        deductions=(Deduction("pkg-1", TAG, Source.PURCHASE, 3),),
        kind=TransactionType.POSTPAY_MONTHLY,
        charged_on=day("2025-04-01"),
    )
    found = [
        (cells["ChargeClass"], cells["x_Coverage"], cells["ConsumedQuantity"], cells["BilledCost"], cells["SkuPriceId"])
        for cells in _rows(bill)
    ]
    assert found == [
        ("Correction", "Postpaid", "-900.00", "-360.00000000", f"{TAG}:monthly:0"),
        (None, "Purchased Package", "3.00", "0.00000000", f"{TAG}:monthly:1000"),
        ("Correction", "Postpaid", "1100.00", "418.00000000", f"{TAG}:monthly:1000"),
    ]


@pytest.mark.parametrize(
    "kind, calls, price_id, list_price",
    [
        (TransactionType.POSTPAY_DAILY, 20_000, f"{TAG}:daily", "0.30"),
        (TransactionType.POSTPAY_MONTHLY, 20_000, f"{TAG}:monthly:10000", "0.28"),
        (TransactionType.POSTPAY_MONTHLY, 999, f"{TAG}:monthly:0", "0.30"),
    ],
)
def test_a_contract_price_is_beside_the_published_one(
    kind: TransactionType, calls: int, price_id: str, list_price: str
) -> None:
    """Under a contract price the list price is the catalog's of the day and, of a month, of the step (D18, D19)."""
    (cells,) = _rows(_bill(_line(AppliedPrice(Decimal("0.11"), None, None), postpaid=calls), kind=kind))
    assert _parts(cells, "SkuPriceId ListUnitPrice ContractedUnitPrice x_DiscountRate") == {
        "SkuPriceId": price_id,
        "ListUnitPrice": list_price,
        "ContractedUnitPrice": "0.11",
        "x_DiscountRate": None,
    }
    details = json.loads(str(cells["SkuPriceDetails"]))
    assert ":".join([TAG, *details.values()]) == price_id


def test_whoever_runs_the_product_is_its_provider() -> None:
    """One name provides, publishes and bills: with another issuer nothing could be billed."""
    (cells,) = _rows(_bill(_line(postpaid=1)), provider="Cloud Team")
    assert {cells[name] for name in ("ProviderName", "PublisherName", "InvoiceIssuerName")} == {"Cloud Team"}


def test_a_line_without_anything_to_pay_is_a_row_all_the_same() -> None:
    """A line that takes back only what packages gave has a row of no calls, so that each transaction is in the file."""
    old, new = (
        AppliedPrice(Decimal(one), Decimal(one), Decimal(1), tier) for one, tier in (("0.40", 0), ("0.38", 1000))
    )
    bill = _bill(_line(old, paid=-50), _line(new, paid=50), kind=TransactionType.POSTPAY_MONTHLY)
    rows = _rows(replace(bill, charges=(_unpaid(bill.charges[0]),)))
    assert [(cells["x_TransactionId"], cells["ConsumedQuantity"]) for cells in rows] == [
        ("20250228-7-1", "0.00"),
        ("20250228-7-2", "0.00"),
    ]


def test_a_payment_on_a_line_without_charged_calls_is_shown() -> None:
    """The rounding of a charge is paid on its last line, which packages may have covered (D16)."""
    rows = _rows(_bill(_line(paid=3), deductions=(Deduction("pkg-1", TAG, Source.PURCHASE, 3),)))
    assert [(cells["x_Coverage"], cells["ConsumedQuantity"], cells["x_CashPaid"]) for cells in rows] == [
        ("Purchased Package", "3.00", None),
        ("Postpaid", "0.00", "0.24"),
    ]


def test_no_row_is_read_before_it_is_asked_for() -> None:
    """A file of any number of rows needs no more memory than one of them."""
    read: list[Row] = []

    def spied() -> Iterator[Row]:
        for row in detail_rows([_bill(_line(postpaid=1))] * 3):
            read.append(row)
            yield row

    made = focus_rows(spied(), BillingAccount("acct-1", "a"), CATALOG, KNOWN)
    assert read == []
    next(made)
    assert len(read) == 1


def test_every_column_is_documented() -> None:
    """The page lists the columns of a file, in their order, and those of FOCUS that are left out."""
    page = (Path(__file__).parents[4] / "docs" / "focus.md").read_text(encoding="utf-8")
    table = page.partition("## Columns")[2].partition("## Decisions")[0]
    listed = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert listed[1:] == NAMES
    left_out = table.partition("Left out")[2]
    assert all(name in left_out for name in set(COLUMNS) - set(NAMES))


def test_nulls_are_as_documented() -> None:
    """What the page says is never or always null is so in rows of every sort."""
    rows = _rows(
        _bill(_line(postpaid=2, paid=3), deductions=(Deduction("pkg-1", TAG, Source.PURCHASE, 3),)),
        _at_once(TransactionType.PREPAY_PURCHASE, FEBRUARY, _package(1, FEBRUARY)),
        _adjustment("-5.00", "february-1"),
        precision_bill("2025-02", 9, Decimal(0), Decimal(0), start_of(MARCH)),
    )
    page = (Path(__file__).parents[4] / "docs" / "focus.md").read_text(encoding="utf-8")
    said = {name: null for name, null in re.findall(r"^\| (\w+) \| ([\w ]+) \|", page, re.MULTILINE) if name in NAMES}
    for name in NAMES:
        nulls = {cells[name] is None for cells in rows}
        expected = {"never": {False}, "always": {True}}.get(said[name], {True, False})
        assert nulls == expected, name
