"""What a FOCUS export looks up in the ledger: prices of packages that gave calls, months of corrected transactions."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from aws_platform.bill_rows import detail_rows
from aws_platform.bills import bills_by_charge
from exports.focus import FOCUS_COLUMNS, BillingAccount, focus_rows
from exports.focus_sources import stored
from exports.tables import Value
from exports.texts import printed
from rating.catalog import load
from tests.adapters.prepaid import SKU, buy, details_quantities, give, use, voucher
from tests.adapters.steps import A, at, rows
from tests.support.product import Product


def _april(product: Product) -> list[dict[str, Value]]:
    """The file of April, as text."""
    details = detail_rows(bills_by_charge(product.dynamodb, "ledger", "acct-1", "2025-04"))
    known = stored(product.dynamodb, "ledger", "acct-1")
    return [
        {
            column.name: None if value is None else printed(column.kind, value)
            for column, value in zip(FOCUS_COLUMNS, values, strict=True)
        }
        for values in focus_rows(details, BillingAccount("acct-1", "A company"), load(), known)
    ]


def test_a_month_of_the_product_as_focus(metered: Product) -> None:
    """A package bought in March gives calls in April at what was paid, vouchers included; a correction is one."""
    metered.now = at("2025-03-31T10:00:00+08:00")
    activity = {
        "from": "2025-03-01",
        "until": "2025-05-01",
        "package_rate": "0.8",
        "tags": ["identity_check"],
        "refundable": True,
    }
    made = metered.request("PUT", "/v1/activities/spring", activity)
    assert made.status == 200, made.text
    (package_id,) = buy(metered, SKU, activity_id="spring", voucher_id=voucher(metered, "100.00"))
    gift_id = give(metered, 3)
    use(metered, 5, "2025-03-31T09:00:00+08:00")
    metered.move("2025-04-01T12:00:00+08:00")
    (line,) = details_quantities(metered, "2025-03")
    purchase = package_id.replace("pkg-", "order-")[: -len("-000-00")]
    paid_in: str = rows(metered, f"{A}/journal")[0]["reference"]
    for number, corrects in enumerate((f"{purchase}-1", line["transaction_id"], paid_in)):
        body = {"amount": "1.00", "reason": "an outage", "corrects": corrects}
        made = metered.request("POST", f"{A}/adjustments", body, headers={"Idempotency-Key": f"k-{number}"})
        assert made.status == 201, made.text
    found = _april(metered)
    assert [(row["x_PackageId"], row["ConsumedQuantity"], row["EffectiveCost"]) for row in found[:2]] == [
        (gift_id, "3.00", "0.00000000"),
        (package_id, "2.00", "0.48000000"),
    ]
    assert [(row["x_CorrectedTransactionId"], row["ChargeClass"]) for row in found[2:]] == [
        (f"{purchase}-1", "Correction"),
        (line["transaction_id"], None),
        (paid_in, None),
    ]


@pytest.mark.parametrize("package_id", ["pkg-20250301100000-000009-ba36a4ed-013-01", "no package"])
def test_a_package_that_was_never_bought_has_no_price(metered: Product, package_id: str) -> None:
    """No figure is made up for it."""
    with pytest.raises(LookupError, match=package_id):
        stored(metered.dynamodb, "ledger", "acct-1").bought(package_id)


def test_an_order_is_read_once(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many lines a package is on."""
    (package_id,) = buy(metered)
    known, get_item = stored(metered.dynamodb, "ledger", "acct-1"), Mock(wraps=metered.dynamodb.get_item)
    monkeypatch.setattr(metered.dynamodb, "get_item", get_item)
    assert known.bought(package_id) == known.bought(package_id)
    assert get_item.call_count == 1
