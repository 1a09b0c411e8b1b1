"""The check of FOCUS's requirements sees what breaks them."""

from __future__ import annotations

import pytest

from tests.support.focus_columns import COLUMNS, required
from tests.support.focus_rules import Cells, violations

COSTS = dict.fromkeys(("ListCost", "ContractedCost", "BilledCost", "EffectiveCost"), "0.60")
USAGE: Cells = {
    **dict.fromkeys(sorted(COLUMNS)),
    **COSTS,
    "BillingAccountId": "acct-1",
    "BillingAccountName": "a",
    "BillingCurrency": "CNY",
    "BillingPeriodStart": "2025-02-28T16:00:00Z",
    "BillingPeriodEnd": "2025-03-31T16:00:00Z",
    "ChargePeriodStart": "2025-02-28T16:00:00Z",
    "ChargePeriodEnd": "2025-03-01T16:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeDescription": "b",
    "ChargeFrequency": "Usage-Based",
    "ProviderName": "c",
    "PublisherName": "c",
    "InvoiceIssuerName": "c",
    "ServiceName": "d",
    "ServiceCategory": "Identity",
    "ServiceSubcategory": "Other (Identity)",
    "ResourceId": "r-1",
    "ResourceType": "e",
    "SkuId": "s",
    "SkuPriceId": "s:daily",
    "SkuPriceDetails": '{"x_PriceList":"daily"}',
    "SkuMeter": "f",
    "PricingCategory": "Standard",
    "PricingCurrency": "CNY",
    "PricingCurrencyEffectiveCost": "0.60",
    "PricingCurrencyListUnitPrice": "0.30",
    "PricingCurrencyContractedUnitPrice": "0.30",
    "PricingQuantity": "2",
    "PricingUnit": "Requests",
    "ListUnitPrice": "0.30",
    "ContractedUnitPrice": "0.30",
    "ConsumedQuantity": "2",
    "ConsumedUnit": "Requests",
}


def _found(*rows: Cells) -> list[str]:
    """The ids of what is broken, in their order."""
    return [one.partition(": ")[0] for one in violations(list(rows[0]), rows)]


def test_a_good_row_breaks_nothing() -> None:
    """What the other tests break is whole before."""
    assert _found(USAGE) == []


@pytest.mark.parametrize("name", sorted(required()))
def test_every_column_that_applies_must_be_there(name: str) -> None:
    """A file without one of them is no FOCUS data set, or less of one than is recommended."""
    names = [one for one in USAGE if one != name]
    assert list(violations(names, [])) == [f"CostAndUsage-D: no {name}"]


@pytest.mark.parametrize("name", sorted(name for name, spec in COLUMNS.items() if not spec.nullable))
def test_a_column_that_is_never_null(name: str) -> None:
    """Its null is seen in any row."""
    assert name in _found({**USAGE, name: None})


@pytest.mark.parametrize(
    "broken, expected",
    [
        ({"BilledCost": "1,000.00"}, "BilledCost"),
        ({"BilledCost": "+0.60"}, "BilledCost"),
        ({"BillingPeriodEnd": "2025-03-31T16:00:00+08:00"}, "BillingPeriodEnd"),
        ({"BillingPeriodEnd": "2025-01-31T16:00:00Z"}, "BillingPeriodEnd-C-004-M"),
        ({"ChargePeriodEnd": "2025-02-28T16:00:00Z"}, "ChargePeriodEnd-C-004-M"),
        ({"BillingCurrency": "RMB"}, "BillingCurrency"),
        ({"ChargeCategory": "Refund"}, "ChargeCategory"),
        ({"ChargeClass": "Refund"}, "ChargeClass"),
        ({"ServiceCategory": "Faces"}, "ServiceCategory"),
        ({"ServiceSubcategory": "Bots"}, "ServiceSubcategory-C-004-M"),
        ({"ListUnitPrice": "-0.30", "PricingQuantity": "-2"}, "ListUnitPrice"),
        ({"ListUnitPrice": None}, "ListUnitPrice-C-004/005"),
        ({"ContractedUnitPrice": None}, "ContractedUnitPrice-C-005/006"),
        ({"SkuId": None}, "SkuId-C-004/005"),
        ({"SkuPriceId": None}, "SkuPriceDetails-C-004-C"),
        ({"SkuMeter": None}, "SkuMeter-C-004/005"),
        ({"SkuPriceDetails": '{"PriceList":"daily"}'}, "SkuPriceDetails"),
        ({"SkuPriceDetails": '{"x_Steps":[1]}'}, "SkuPriceDetails"),
        ({"SkuPriceDetails": '{"x_A":1,"x_A":2}'}, "SkuPriceDetails"),
        ({"PricingUnit": None}, "PricingUnit-C-005/006"),
        ({"PricingUnit": "requests"}, "PricingUnit"),
        ({"PricingQuantity": "3"}, "ListUnitPrice-C-010-C"),
        ({"PricingQuantity": "3"}, "ContractedUnitPrice-C-011-C"),
        ({"PricingCategory": "Committed"}, "PricingCategory-C-008-C"),
        ({"ConsumedQuantity": None}, "ConsumedQuantity-C-006-C"),
        ({"ConsumedUnit": None}, "ConsumedUnit-C-005/006"),
        ({"ChargeCategory": "Purchase"}, "ConsumedQuantity-C-004-C"),
        ({"ChargeCategory": "Purchase"}, "ChargeFrequency-C-004-C"),
        ({"ChargeCategory": "Purchase"}, "EffectiveCost-C-005-C"),
        ({"ChargeCategory": "Purchase"}, "PricingCurrencyEffectiveCost-C-005-M"),
        ({"ChargeCategory": "Credit", "EffectiveCost": "0"}, "EffectiveCost-C-010-C"),
        ({"ChargeCategory": "Credit", "ListUnitPrice": None, "ListCost": "0"}, "ListCost-C-008-C"),
        ({"ChargeCategory": "Tax"}, "PricingQuantity-C-004/005"),
        ({"InvoiceIssuerName": "g"}, "BilledCost-C-005-C"),
        ({"ResourceName": "r-1"}, "ResourceName-C-006-C"),
        ({"ResourceId": None}, "ResourceType-C-004/005"),
        ({"SubAccountId": "s-1"}, "SubAccountName-C-004/005"),
        ({"CommitmentDiscountId": "d-1"}, "CommitmentDiscountType-C-004/005"),
        ({"CommitmentDiscountStatus": "Used"}, "CommitmentDiscountStatus-C-003/004"),
        ({"x_PackageId": "pkg-1"}, "DiscountHandling-A-009-C"),
        ({"x_Reason": ""}, "NullHandling-A-002-M"),
    ],
)
def test_a_broken_row_is_seen(broken: dict[str, str | None], expected: str) -> None:
    """One value that is wrong, alone or beside another, breaks the requirement that says so."""
    assert expected in _found({**USAGE, **broken})


@pytest.mark.parametrize(
    "column, expected",
    [
        ("PackageId", "ColumnHandling-A-010-M"),
        ("x_package id", "ColumnHandling-A-001-M"),
        (f"x_{'A' * 49}", "ColumnHandling-A-005-O"),
    ],
)
def test_a_column_of_our_own_says_so(column: str, expected: str) -> None:
    """It begins with x_, is in Pascal case and short."""
    assert expected in [one.partition(": ")[0] for one in violations([*USAGE, column], [])]


def test_our_own_columns_stand_last() -> None:
    """They are not mixed with those of FOCUS."""
    assert "ColumnHandling-A-013-O" in list(violations(["x_Reason", *USAGE], []))


@pytest.mark.parametrize(
    "broken, expected",
    [
        ({"SkuId": "t"}, "SkuPriceId-C-008-M"),
        ({"SkuMeter": "g"}, "SkuMeter-C-006-O"),
        ({"ServiceCategory": "Security"}, "ServiceName-C-005-C"),
        ({"SkuPriceDetails": None}, "SkuPriceDetails-C-007-M"),
    ],
)
def test_rows_that_contradict_each_other_are_seen(broken: dict[str, str | None], expected: str) -> None:
    """What belongs to one id is the same all over a file."""
    assert expected in _found(USAGE, {**USAGE, **broken})
