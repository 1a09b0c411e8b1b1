"""How a change of an account is stored, together with what is kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_platform import clients, failures, problems
from aws_platform.accounts import read_account_with
from aws_platform.api import Answer, Call
from aws_platform.ledger import OutdatedError, transact
from aws_platform.snapshot import Part, Snapshot, change, snapshot_of
from rating.account import Account
from rating.civil import business_instant

if TYPE_CHECKING:
    from aws_platform.reading import Item


@dataclass(frozen=True, slots=True)
class Changed:
    """What becomes of an account."""

    account: Account
    parts: Sequence[Part] = ()
    """Those of its parts that change too; the route has read them with the account."""
    items: Sequence[Mapping[str, Any]] = ()
    """Transaction items of what else is written."""
    order_id: str | None = None
    """The grant among them."""


def update(call: Call, after: Callable[[Snapshot], Changed], show: Callable[[Account], Answer]) -> Answer:
    """Store what `after` makes of the account and its parts, computed anew when somebody else was faster.

    `after` raises Problem to refuse; what changes nothing is not written. Raises TryAgainError where others contend
    for too long.
    """
    dynamodb, table = clients.dynamodb(), call.settings.ledger_table
    account: Account | None = call.account
    items: Mapping[str, Item] = call.items
    stored: Account | None = None
    written: Mapping[str, Item] = {}
    for attempt in failures.attempts():
        if attempt:
            account, items = read_account_with(dynamodb, table, call.account.account_id, call.asked)
        if account is None:
            raise problems.not_found("account")
        if account == stored and written.items() <= items.items():
            # The try whose answer was lost did happen: what it made may well forbid another. The account alone
            # would not tell: another's change of the same part makes the same version.
            return show(account)
        try:
            changed = after(snapshot_of(account, items.values(), call.asked))
            if changed == Changed(account):
                return show(account)
            when = account.booked_at(business_instant(call.now))
            stored, writes = change(
                call.settings, account, changed.account, when, changed.parts, order_id=changed.order_id
            )
            made = {put["Put"]["Item"]["sk"]["S"]: put["Put"]["Item"] for put in writes}
            written = {sort_key: item for sort_key, item in made.items() if sort_key in call.asked}
            transact(dynamodb, [*writes, *changed.items])
        except (OutdatedError, failures.TryAgainError):
            continue
        return show(stored)
    raise failures.TryAgainError
