"""A month's bills as FOCUS 1.2, the FinOps specification of cost and usage data (docs/focus.md).

Column IDs are the same in every language, those of FOCUS first, then our own, which begin with `x_`. Every row of the
detailed bill makes at least one row here; what all rows of a month bill adds up to what was deducted in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from aws_platform.bill_rows import PRODUCT, Row, Shower
from exports.focus_columns import FOCUS_COLUMNS
from exports.focus_usage import Coverage, ListPrice, Part, drawn, list_price_of, parts_of, takes_back
from exports.tables import Value
from rating import money
from rating.bill import BilledCharge, BilledLine, Resource, TransactionType
from rating.civil import ONE_SECOND, day_of, end_of, first_day, month_of, next_month, start_of
from rating.funds import Fund

if TYPE_CHECKING:
    from rating.catalog import Catalog

__all__ = ["FOCUS_COLUMNS", "BillingAccount", "Bought", "Known", "focus_rows"]

PROVIDER = "Zhangben"
"""Who sells, publishes and bills, where whoever runs the product says nothing else."""
CURRENCY = "CNY"
CALLS = "Requests"
PACKAGES = "Packages"

_PAID = {
    "x_VoucherPaid": Fund.VOUCHER,
    "x_GiftPaid": Fund.GIFT,
    "x_IncomeTransferPaid": Fund.INCOME_TRANSFER,
    "x_CashPaid": Fund.CASH,
}
_IN_PRICING_CURRENCY = {
    f"PricingCurrency{name}": name for name in ("EffectiveCost", "ListUnitPrice", "ContractedUnitPrice")
}
"""Prices are in the currency of the bills, so these columns repeat others."""
_METERS = {CALLS: "Billable Requests", PACKAGES: "Request Packages"}

type Cells = dict[str, Value]
"""A row by column ID; what is left out is null."""


@dataclass(frozen=True, slots=True)
class Bought:
    """What a purchased package cost as a whole."""

    paid: Decimal
    """Yuan, vouchers included: what its purchase was billed at."""
    calls: int


@dataclass(frozen=True, slots=True)
class Known:
    """What FOCUS asks for and the bills of one month do not say; `exports.focus_sources` looks it up."""

    bought: Callable[[str], Bought]
    """By the id of a purchased package that gave calls."""
    charge_month: Callable[[str], str | None]
    """The month in which a transaction was charged; None for a payment, which is no charge."""


@dataclass(frozen=True, slots=True)
class BillingAccount:
    """Whose bills they are, and who issues them."""

    account_id: str
    name: str
    provider: str = PROVIDER


def focus_rows(
    rows: Iterable[Row], account: BillingAccount, catalog: Catalog, known: Known
) -> Iterator[Sequence[Value]]:
    """The rows of `detail_rows` as values under `FOCUS_COLUMNS`, one after the other."""
    writer = _Writer(account, catalog, known, Shower(account.account_id, catalog))
    names = [column.name for column in FOCUS_COLUMNS]
    for row in rows:
        for cells in writer.rows_of(row):
            cells.update({copy: cells.get(name) for copy, name in _IN_PRICING_CURRENCY.items()})
            yield [cells.get(name) for name in names]


@dataclass(frozen=True, slots=True)
class _Writer:
    account: BillingAccount
    catalog: Catalog
    known: Known
    shower: Shower

    def rows_of(self, row: Row) -> Iterator[Cells]:
        """One row, or of usage one for each way in which it was covered."""
        common = self._common(row)
        charge, fee = row.charge, row.fee
        if charge is None or fee is None:
            yield common | self._precision(row)
        elif row.bill.transaction_type is TransactionType.ADJUSTMENT:
            yield common | self._adjustment(row)
        elif charge.resource is not None:
            yield common | self._package(row, charge, charge.resource, fee)
        else:
            listed = list_price_of(self.catalog, row.bill, charge, fee)
            for part in parts_of(row.bill, charge, fee):
                yield common | self._usage(row, charge, fee, listed, part)

    def _common(self, row: Row) -> Cells:
        bill, provider = row.bill, self.account.provider
        return {
            "BillingAccountId": self.account.account_id,
            "BillingAccountName": self.account.name,
            "BillingCurrency": CURRENCY,
            "PricingCurrency": CURRENCY,
            "BillingPeriodStart": _utc(start_of(first_day(bill.charge_month))),
            "BillingPeriodEnd": _utc(start_of(first_day(next_month(bill.charge_month)))),
            "InvoiceIssuerName": provider,
            "ProviderName": provider,
            "PublisherName": provider,
            "ServiceCategory": "Identity",
            "ServiceSubcategory": "Other (Identity)",
            "ServiceName": PRODUCT,
            "x_TransactionId": row.row_id,
            "x_TransactionType": bill.transaction_type.value,
            "x_BillId": bill.bill_id,
            "x_OrderId": bill.order_id,
            "x_ChargedAt": _utc(bill.charged_at),
            "x_Reason": bill.reason,
            "x_CorrectedTransactionId": bill.corrects,
        }

    def _precision(self, row: Row) -> Cells:
        """What the deductions of the month differ by from its details (D15)."""
        return {
            **_unpriced("Adjustment", row.total_cost),
            **_charged_for(row),
            "ChargeDescription": f"Rounding of {row.bill.charge_month}: deducted less details",
        }

    def _adjustment(self, row: Row) -> Cells:
        """A compensation is a credit; a charge has no better category than adjustment."""
        corrected = row.bill.corrects
        month = None if corrected is None else self.known.charge_month(corrected)
        return {
            **_unpriced("Credit" if row.total_cost < 0 else "Adjustment", row.total_cost),
            **_charged_for(row),
            **_paid(row),
            "ChargeClass": _class_of(month is not None and month < row.bill.charge_month),
            "ChargeDescription": row.bill.reason or "Adjustment",
        }

    def _package(self, row: Row, charge: BilledCharge, package: Resource, fee: BilledLine) -> Cells:
        """A package that was bought, or paid back. It covers calls to come, so its cost is theirs."""
        sku = f"{charge.tag}:{package.calls}"
        price, pieces = fee.line.price, fee.line.quantities.postpaid
        list_price = price.unit_price if price.list_price is None else price.list_price
        bought_in = month_of(day_of(package.starts_at))
        what = "Refund" if pieces < 0 else "Purchase"
        return {
            "ChargeCategory": "Purchase",
            "ChargeClass": _class_of(bought_in < row.bill.charge_month),
            "ChargeDescription": f"{what} of a package: {package.calls} calls of {charge.tag}",
            "ChargeFrequency": "One-Time",
            "ChargePeriodStart": _utc(package.starts_at),
            "ChargePeriodEnd": _utc(package.ends_at + ONE_SECOND),
            "BilledCost": row.total_cost,
            "EffectiveCost": money.ZERO,
            **_priced(list_price, price.unit_price, pieces, PACKAGES),
            "SkuId": sku,
            "SkuPriceId": sku,
            "SkuPriceDetails": _details({"x_PackageCalls": package.calls}),
            **self._resource(row, "Package"),
            **_paid(row),
            "x_DiscountRate": price.discount_rate,
        }

    def _usage(self, row: Row, charge: BilledCharge, fee: BilledLine, listed: ListPrice, part: Part) -> Cells:
        charged = part.coverage is Coverage.POSTPAID
        # Calls that nothing covered were never priced: at a list price they would look like a discount (D14).
        priced_calls = 0 if part.coverage is Coverage.UNCOVERED else part.calls
        first, last = row.days
        price = fee.line.price
        billed = row.total_cost if charged else money.ZERO
        effective = billed
        if part.coverage is Coverage.PURCHASED and part.package_id is not None:
            bought = self.known.bought(part.package_id)
            effective = drawn(bought.paid, bought.calls, part.calls)
        return {
            "ChargeCategory": "Usage",
            "ChargeClass": _class_of(charged and takes_back(charge, fee)),
            "ChargeDescription": f"{_DESCRIBED[part.coverage]}: {part.calls} calls of {charge.tag}",
            "ChargeFrequency": "Usage-Based",
            "ChargePeriodStart": _utc(start_of(first)),
            "ChargePeriodEnd": _utc(end_of(last)),
            "BilledCost": billed,
            "EffectiveCost": effective,
            **_priced(listed.unit_price, price.unit_price, priced_calls, CALLS),
            "ConsumedQuantity": Decimal(part.calls),
            "ConsumedUnit": CALLS,
            "SkuId": charge.tag,
            **_sku_price(charge.tag, listed),
            **self._resource(row, "Metered Usage"),
            **(_paid(row) if charged else {}),
            "x_Coverage": part.coverage.value,
            "x_PackageId": part.package_id,
            "x_DiscountRate": price.discount_rate,
        }

    def _resource(self, row: Row, kind: str) -> Cells:
        return {
            "ResourceId": self.shower.resource_id(row),
            "ResourceName": self.shower.alias(row),
            "ResourceType": kind,
        }


_DESCRIBED = {
    Coverage.POSTPAID: "Charged",
    Coverage.PURCHASED: "Given by a purchased package",
    Coverage.FREE: "Given by a free package",
    Coverage.UNCOVERED: "Neither covered nor charged",
}


def _unpriced(category: str, cost: Decimal) -> Cells:
    """A charge without quantity and price: all its costs are what it is billed at."""
    costs = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
    return {**dict.fromkeys(costs, cost), "ChargeCategory": category, "ChargeFrequency": "One-Time"}


def _charged_for(row: Row) -> Cells:
    """The days that the row is for."""
    first, last = row.days
    return {"ChargePeriodStart": _utc(start_of(first)), "ChargePeriodEnd": _utc(end_of(last))}


def _priced(list_price: Decimal, unit_price: Decimal, quantity: int, unit: str) -> Cells:
    """Prices and the costs that they make: a unit price times the quantity is its cost, exactly."""
    return {
        "ListUnitPrice": list_price,
        "ListCost": money.cost(list_price, quantity),
        "ContractedUnitPrice": unit_price,
        "ContractedCost": money.cost(unit_price, quantity),
        "PricingQuantity": Decimal(quantity),
        "PricingUnit": unit,
        "PricingCategory": "Standard",
        "SkuMeter": _METERS[unit],
    }


def _sku_price(tag: str, listed: ListPrice) -> Cells:
    """Which published price it is. The details name the step, so they are the same wherever the id is."""
    facts: dict[str, str | int] = {"x_PriceList": listed.price_list}
    parts = [tag, listed.price_list]
    if listed.tier_from_calls is not None:
        parts.append(str(listed.tier_from_calls))
        # A numeric property would have to be per call.
        facts["x_TierFromCalls"] = str(listed.tier_from_calls)
    return {"SkuPriceId": ":".join(parts), "SkuPriceDetails": _details(facts)}


def _details(facts: Mapping[str, str | int]) -> str:
    return json.dumps(facts, separators=(",", ":"))


def _paid(row: Row) -> Cells:
    """Which money paid. Vouchers and gifts are means of payment here: they lower no cost (D16)."""
    return {name: row.payment.get(fund, money.ZERO) for name, fund in _PAID.items()}


def _class_of(correction: bool) -> str | None:  # noqa: FBT001 - the one thing that it says
    """FOCUS has one class: what corrects a billing period that is over."""
    return "Correction" if correction else None


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
