"""How accounts and their money are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rating import money
from rating.account import Account, Merchant
from rating.civil import rfc3339
from rating.funds import Funds
from rating.pricing import ContractPrice, Discount
from rating.vouchers import Voucher


def show_account(account: Account, now: datetime) -> dict[str, Any]:
    """The account as it is at `now`."""
    return {
        "account_id": account.account_id,
        "name": account.name,
        "status": account.status(now).value,
        "rejection_reason": account.rejection_reason,
        "settlement_cycle": account.cycle and account.cycle.value,
        "created_at": rfc3339(account.created_at),
        "opened_at": account.opened_at and rfc3339(account.opened_at),
        "postpaid_enabled": account.postpaid.at(now),
        "enterprise_verified": account.enterprise_verified,
        "violation": account.violation
        and {
            "active": True,
            "since": rfc3339(account.violation.since),
            "reason": account.violation.reason,
        },
        "arrears": _show_arrears(account),
        "balance": show_balance(account.funds),
        "contact": {
            "email": account.contact.email,
            "phone": account.contact.phone,
            "locale": account.contact.locale,
        },
    }


def show_balance(funds: Funds) -> dict[str, str]:
    """The funds and their sum."""
    return {
        "available": money.yuan(funds.available),
        "cash": money.yuan(funds.cash),
        "income_transfer": money.yuan(funds.income_transfer),
        "gift": money.yuan(funds.gift),
    }


def show_merchant(merchant: Merchant) -> dict[str, str]:
    """A granted E证通 merchant id."""
    return {"merchant_id": merchant.merchant_id, "granted_at": rfc3339(merchant.granted_at)}


def show_voucher(voucher: Voucher, now: datetime) -> dict[str, Any]:
    """A voucher as it is at `now`."""
    return {
        "voucher_id": voucher.voucher_id,
        "scene": voucher.scene.value,
        "amount": money.yuan(voucher.amount),
        "remaining": money.yuan(voucher.remaining),
        "threshold": money.yuan(voucher.threshold),
        "single_use": voucher.single_use,
        "issued_at": rfc3339(voucher.issued_at),
        "expires_at": voucher.expires_at and rfc3339(voucher.expires_at),
        "status": voucher.status(now).value,
    }


def show_discount(discount: Discount) -> dict[str, str | None]:
    """A contract discount."""
    return {"tag": discount.tag, "rate": format(discount.rate.normalize(), "f"), **_show_days(discount)}


def show_contract_price(price: ContractPrice) -> dict[str, str | None]:
    """A contract price."""
    return {"tag": price.tag, "unit_price": money.price(price.unit_price), **_show_days(price)}


def _show_days(term: Discount | ContractPrice) -> dict[str, str | None]:
    return {
        "from": term.first_day.isoformat(),
        "until": term.until.isoformat() if term.until else None,
    }


def _show_arrears(account: Account) -> dict[str, str] | None:
    if account.arrears is None:
        return None
    return {
        "since": rfc3339(account.arrears.since),
        "stops_at": rfc3339(account.arrears.stops_at),
        "releases_at": rfc3339(account.arrears.releases_at),
    }
