"""Orders, packages and refunds as they are answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aws_platform.shown import show_payment, show_refunds
from rating import money
from rating.account import Account
from rating.allocation import Source
from rating.catalog import Catalog
from rating.civil import ONE_SECOND, rfc3339
from rating.funds import Fund
from rating.orders import Order, PackageRecord, Refund, Refusal, package_name, refund_refusal, refundable_until
from rating.wallet import release_of


def show_order(order: Order, catalog: Catalog) -> dict[str, Any]:
    """A purchase."""
    return {
        "order_id": order.order_id,
        "kind": "purchase",
        "status": order.status.value,
        "created_at": rfc3339(order.created_at),
        "amount": money.yuan(order.amount),
        "payment": show_payment(order.payment),
        "packages": [_ordered(package, catalog) for package in order.packages],
        "activity_id": order.activity_id,
        "voucher_id": order.voucher_id,
        "refund_of": None,
    }


def show_refund_order(refund: Refund, order: Order, catalog: Catalog) -> dict[str, Any]:
    """A refund among the orders."""
    package = order.package(refund.package_id)
    return {
        "order_id": refund.refund_id,
        "kind": "refund",
        "status": "refunded",
        "created_at": rfc3339(refund.requested_at),
        "amount": money.yuan(-refund.amount),
        "payment": show_payment({fund: -amount for fund, amount in refund.refunds.items()}),
        "packages": [_ordered(package, catalog)] if package else [],
        "activity_id": None,
        "voucher_id": None,
        "refund_of": refund.order_id,
    }


def show_package(
    catalog: Catalog, account: Account, order: Order, package: PackageRecord, *, used: int, now: datetime
) -> dict[str, Any]:
    """A package, given how many of its calls are used."""
    refusal = refund_refusal(package, in_violation=account.violation is not None, used=used, now=now)
    remaining = 0 if package.refund_id else package.calls - used
    return {
        "package_id": package.package_id,
        "resource_id": package.resource_id,
        "tag": package.tag,
        "name": package_name(catalog.tag(package.tag).name, package.calls),
        "source": package.source.value,
        "total": package.calls,
        "remaining": remaining,
        "used": used,
        "used_percent": round(100 * used / package.calls, 2),
        "obtained_at": rfc3339(package.delivered_at),
        "expires_at": rfc3339(package.ends_at),
        "status": _status(account, package, remaining, now),
        "order_id": order.order_id if package.source is Source.PURCHASE else None,
        "refundable": refusal is None,
        "refund_blocked_by": refusal.value if refusal else None,
        "reason": order.reason,
    }


def show_quote(package: PackageRecord, refusal: Refusal | None) -> dict[str, Any]:
    """What a refund would pay back; nothing where it is refused."""
    refunds = package.refunds() if refusal is None else {}
    lost = package.payment.get(Fund.VOUCHER, money.ZERO) if refusal is None else money.ZERO
    bought = package.source is Source.PURCHASE
    return {
        "package_id": package.package_id,
        "refundable": refusal is None,
        "refund_blocked_by": refusal.value if refusal else None,
        "refundable_until": rfc3339(refundable_until(package.delivered_at) - ONE_SECOND) if bought else None,
        "amount": money.yuan(sum(refunds.values(), money.ZERO)),
        "refunds": show_refunds(refunds),
        "voucher_forfeited": money.yuan(lost),
    }


def show_refund(refund: Refund) -> dict[str, Any]:
    """A refund."""
    return {
        "refund_id": refund.refund_id,
        "package_id": refund.package_id,
        "order_id": refund.order_id,
        "status": "completed" if refund.completed_at else "processing",
        "amount": money.yuan(refund.amount),
        "refunds": show_refunds(refund.refunds),
        "voucher_forfeited": money.yuan(refund.voucher_forfeited),
        "requested_at": rfc3339(refund.requested_at),
        "completed_at": rfc3339(refund.completed_at) if refund.completed_at else None,
    }


def _ordered(package: PackageRecord, catalog: Catalog) -> dict[str, Any]:
    return {
        "package_id": package.package_id,
        "resource_id": package.resource_id,
        "sku": f"{package.tag}:{package.calls}",
        "tag": package.tag,
        "name": package_name(catalog.tag(package.tag).name, package.calls),
        "calls": package.calls,
        "list_price": money.yuan(package.list_price),
        "amount": money.yuan(package.amount),
        "payment": show_payment(package.payment),
        "obtained_at": rfc3339(package.delivered_at),
        "expires_at": rfc3339(package.ends_at),
        "refund_id": package.refund_id,
    }


def _status(account: Account, package: PackageRecord, remaining: int, now: datetime) -> str:
    if package.refund_id is not None:
        return "refunded"
    if not remaining:
        return "exhausted"
    ended = release_of(package.delivered_at, account.conditions().releases)
    if ended is not None and ended <= min(now, package.ends_at):
        return "released"
    return "expired" if now >= package.ends_at + ONE_SECOND else "active"
