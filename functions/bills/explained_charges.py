"""The steps of what is charged at once and of the row that closes a month, and those that all lines share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from aws_platform.bill_rows import ADJUSTMENT_NAME, Row, Shower, show_line
from aws_platform.shown import show_payment
from aws_platform.transactions import Correction
from bills.explanation_models import Step
from rating import money
from rating.bill import Bill, BilledCharge, BilledLine
from rating.catalog import Catalog, load
from rating.civil import day_of, rfc3339
from rating.funds import Fund
from rating.orders import Order, PackageRecord, Refund, package_name


def package_step(order: Order, package: PackageRecord, fee: BilledLine, catalog: Catalog) -> Step:
    """What was bought, its list price and what an activity left of it, in whole fen."""
    price, day = fee.line.price, day_of(package.delivered_at)
    sku = f"{package.tag}:{package.calls}"
    listed, known = (
        next((one for one in made.package_offers(package.tag, day) if one.sku == sku), None)
        for made in (catalog, load())
    )
    return {
        "step": "package",
        "order_id": order.order_id,
        "package_id": package.package_id,
        "name": package_name(catalog.tag(package.tag).name, package.calls),
        "sku": sku,
        "calls": package.calls,
        "delivered_at": rfc3339(package.delivered_at),
        "ends_at": rfc3339(package.ends_at),
        "list_price": money.yuan(package.list_price),
        "listed_from": listed and listed.from_day and listed.from_day.isoformat(),
        "set_by": "catalog" if listed == known else "operator",
        "activity_id": order.activity_id,
        "package_rate": format(price.discount_rate or Decimal(1), "f"),
        "unit_price": money.price(price.unit_price),
    }


def refund_step(refund: Refund, catalog: Catalog) -> Step:
    """What goes back, each amount to the fund that paid, and what a voucher paid, which is lost (D24)."""
    paid = {**refund.refunds, Fund.VOUCHER: refund.voucher_forfeited}
    return {
        "step": "refund",
        "refund_id": refund.refund_id,
        "order_id": refund.order_id,
        "package_id": refund.package_id,
        "name": package_name(catalog.tag(refund.tag).name, refund.calls),
        "requested_at": rfc3339(refund.requested_at),
        "completed_at": refund.completed_at and rfc3339(refund.completed_at),
        "paid": show_payment(paid),
        "refunds": show_payment(refund.refunds),
        "voucher_forfeited": money.yuan(refund.voucher_forfeited),
    }


def adjustment_step(bill: Bill) -> Step:
    """Why the operator adjusted."""
    return {"step": "adjustment", "reason": bill.reason, "corrects": bill.corrects}


def month_step(bill: Bill, charged: Iterable[Bill], catalog: Catalog) -> Step:
    """The details of the month of charges that the row closes, and what was deducted for them, by tag (D15)."""
    by_tag: dict[str, tuple[Decimal, Decimal]] = {}
    for charge in (charge for one in charged for charge in one.charges):
        details, deducted = by_tag.get(charge.tag, (money.ZERO, money.ZERO))
        by_tag[charge.tag] = (details + charge.details, deducted + charge.amount)
    return {
        "step": "month",
        "month": bill.charge_month,
        "by_tag": [
            {
                "tag": tag or None,
                "name": catalog.tag(tag).name if tag else ADJUSTMENT_NAME,
                **_difference(*by_tag[tag]),
            }
            for tag in sorted(by_tag)
        ],
        **_difference(
            sum((details for details, _ in by_tag.values()), money.ZERO),
            sum((deducted for _, deducted in by_tag.values()), money.ZERO),
            bill.precision_difference,
        ),
    }


def cost_step(fee: BilledLine) -> Step:
    """Unit price times quantity, as the details show it (D15)."""
    shown = show_line(fee.line)
    parts = ("unit_price", "quantity", "original_cost", "total_cost", "formula")
    return {"step": "cost", **{part: shown[part] for part in parts}}


def rounding_step(row: Row, charge: BilledCharge, shower: Shower) -> Step:
    """The lines of the resource together, and what was deducted for them (D15)."""
    return {
        "step": "rounding",
        "resource_id": shower.resource_id(row),
        "lines": len(charge.lines),
        **_difference(charge.details, charge.amount),
    }


def payment_step(bill: Bill, charge: BilledCharge, fee: BilledLine) -> Step:
    """Which money paid the line, and the resource (D16)."""
    by_voucher = bool(fee.payment.get(Fund.VOUCHER))
    return {
        "step": "payment",
        **show_payment(fee.payment),
        "voucher_id": bill.voucher_id if by_voucher else None,
        "resource": show_payment(charge.payment),
    }


def corrections_step(corrections: Sequence[Correction]) -> Step:
    """The adjustments that name the line."""
    return {
        "step": "corrections",
        "corrections": [
            {
                "transaction_id": one.transaction_id,
                "charged_at": rfc3339(one.charged_at),
                "total_cost": money.yuan(one.total_cost),
                "reason": one.reason,
            }
            for one in corrections
        ],
    }


def package_of(order: Order, charge: BilledCharge) -> PackageRecord:
    """The package of an order that a charge is for. Raises LookupError where it is none of them."""
    wanted = charge.resource.resource_id if charge.resource else None
    for package in order.packages:
        if package.resource_id == wanted:
            return package
    msg = f"{order.order_id} has no package {wanted}"
    raise LookupError(msg)


def _difference(details: Decimal, deducted: Decimal, difference: Decimal | None = None) -> Mapping[str, str]:
    return {
        "details": money.detail(details),
        "deducted": money.yuan(deducted),
        "difference": money.detail(deducted - details if difference is None else difference),
    }
