"""How accounts and their money are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rating import money
from rating.account import Account
from rating.civil import rfc3339
from rating.funds import Funds


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


def _show_arrears(account: Account) -> dict[str, str] | None:
    if account.arrears_since is None or account.stops_at is None or account.releases_at is None:
        return None
    return {
        "since": rfc3339(account.arrears_since),
        "stops_at": rfc3339(account.stops_at),
        "releases_at": rfc3339(account.releases_at),
    }
