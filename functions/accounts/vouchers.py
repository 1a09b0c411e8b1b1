"""Vouchers: the operator issues them, orders and settlements spend them (D16; facts.md 3.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from heapq import merge
from http import HTTPStatus
from itertools import groupby
from typing import TYPE_CHECKING

from accounts.models import NewVoucher
from accounts.views import show_voucher
from aws_platform import clients, keys, problems
from aws_platform.api import Answer, Call, answer
from aws_platform.idempotency import Effect, once
from aws_platform.ledger import with_prefix
from aws_platform.paging import page
from aws_platform.problems import FieldError
from aws_platform.reading import in_partition
from aws_platform.snapshot import change, snapshot_of, spent_voucher_put, voucher_from_item
from rating.account import Account
from rating.civil import business_instant
from rating.orders import stamp
from rating.vouchers import Scene, Voucher, VoucherStatus

if TYPE_CHECKING:
    from aws_platform.reading import Item

MAX_VOUCHERS = 100
"""Vouchers of one account that can be spent; a settlement reads them all."""
_MOVED_AT_ONCE = 5
"""Expired vouchers that one new voucher moves away: more than it adds."""


def issue(call: Call, body: NewVoucher) -> Answer:
    """Issue a voucher, once per key. Raises Problem 422 for an expiry that is not to come, 409 `too_many_vouchers`."""
    table, now = call.settings.ledger_table, business_instant(call.now)
    expires_at = body.expires_at and business_instant(body.expires_at)

    def effect(account: Account, _: Mapping[str, Item]) -> Effect:
        if expires_at is not None and expires_at <= now:
            raise problems.invalid_request(FieldError("expires_at", "must be in the future"))
        known = _living(table, account)
        expired = [one for one in known if one.status(now) is VoucherStatus.EXPIRED]
        if len(known) - len(expired) >= MAX_VOUCHERS:
            raise problems.conflict("too_many_vouchers", f"an account can have {MAX_VOUCHERS} vouchers to spend")
        voucher = Voucher(
            voucher_id=f"voucher-{stamp(account.account_id, now, account.version + 1)}",
            scene=Scene(body.scene),
            amount=Decimal(body.amount),
            remaining=Decimal(body.amount),
            threshold=Decimal(body.threshold),
            single_use=body.single_use,
            issued_at=now,
            expires_at=expires_at,
        )
        moved = expired[:_MOVED_AT_ONCE]
        gone = [f"{keys.VOUCHER_PREFIX}{one.voucher_id}" for one in moved]
        _after, items = change(call.settings, account, account, account.booked_at(now), [voucher], gone)
        items += [spent_voucher_put(table, account.account_id, one) for one in moved]
        return Effect(items, answer(show_voucher(voucher, now), HTTPStatus.CREATED))

    return once(call, effect)


def show_all(call: Call, limit: int, cursor: str | None) -> Answer:
    """A page of all vouchers that the account ever had, oldest first."""
    vouchers = _all_vouchers(call.settings.ledger_table, call.account.account_id)
    return answer(page(vouchers, lambda one: one.voucher_id, lambda one: show_voucher(one, call.now), limit, cursor))


def _living(table: str, account: Account) -> Sequence[Voucher]:
    """The vouchers with something left, expired ones too, oldest first. Raises OutdatedError: read again."""
    sort_keys = sorted(key for key in account.parts if key.startswith(keys.VOUCHER_PREFIX))
    items = in_partition(clients.dynamodb(), table, keys.ledger(account.account_id), sort_keys)
    return sorted(snapshot_of(account, items.values(), sort_keys).vouchers, key=lambda one: one.voucher_id)


def _all_vouchers(table: str, account_id: str) -> Iterator[Voucher]:
    """Living and spent ones by id, which is by time. What is spent meanwhile is found twice: the last word holds."""
    # In this order: what is spent between the two reads is in both, and in the other order it would be in none.
    living = list(_stored(table, account_id, keys.VOUCHER_PREFIX))
    spent = _stored(table, account_id, keys.SPENT_VOUCHER_PREFIX)
    together = merge(living, spent, key=lambda one: one.voucher_id)
    for _, same in groupby(together, key=lambda one: one.voucher_id):
        *_, last = same
        yield last


def _stored(table: str, account_id: str, prefix: str) -> Iterator[Voucher]:
    """The vouchers under a prefix, by id."""
    return map(voucher_from_item, with_prefix(clients.dynamodb(), table, account_id, prefix))
