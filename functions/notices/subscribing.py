"""Whom notices go to: reading the subscription, and replacing it."""

from __future__ import annotations

from typing import Any

from aws_platform import clients, failures, keys
from aws_platform.api import Call
from aws_platform.ledger import OutdatedError, transact, with_prefix
from aws_platform.reading import in_partition
from aws_platform.subscriptions import Subscription, audience_of, subscription_put, unblock
from notices.models import SubscriptionBody
from notices.views import show_subscription


def read(call: Call) -> dict[str, Any]:
    """Whom notices go to, as of now."""
    account = call.account
    items = with_prefix(clients.dynamodb(), call.settings.ledger_table, account.account_id, keys.SUBSCRIPTIONS)
    return show_subscription(audience_of(account, items))


def replace(call: Call, body: SubscriptionBody) -> dict[str, Any]:
    """Replace the whole subscription; the addresses that it names are tried again, whatever became of them before.

    What it leaves out names the account's contact. Raises TryAgainError where others contend for too long.
    """
    dynamodb, table, account_id = clients.dynamodb(), call.settings.ledger_table, call.account.account_id
    wanted = Subscription(
        None if body.emails is None else tuple(body.emails),
        None if body.phones is None else tuple(body.phones),
        body.locale,
        body.daily_report,
    )
    for _ in failures.attempts():
        seen = in_partition(dynamodb, table, keys.ledger(account_id), [keys.SUBSCRIPTION]).get(keys.SUBSCRIPTION)
        put = subscription_put(call.settings, account_id, wanted, call.now, seen)
        meant = audience_of(call.account, [put["Put"]["Item"]])
        try:
            transact(dynamodb, [put, *unblock(table, account_id, Subscription(meant.emails, meant.phones))])
        except (OutdatedError, failures.TryAgainError):
            # It replaces whatever is there, so that writing it once more does no harm.
            continue
        return read(call)
    raise failures.TryAgainError
