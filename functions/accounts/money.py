"""Money that the operator books: payments and adjustments (contract, Accounts; D17)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING

from accounts.models import Adjustment, TopUp
from accounts.views import show_balance
from aws_platform import clients, problems
from aws_platform.api import Answer, Call, answer
from aws_platform.bills import bill_put
from aws_platform.idempotency import Effect, once
from aws_platform.ledger import journal_put
from aws_platform.shown import show_payment
from aws_platform.snapshot import change
from aws_platform.transactions import Correction, correction_put, is_transaction, payment_id
from rating import money
from rating.account import Account
from rating.bill import TransactionType, bill_of_day, single_charge
from rating.civil import business_instant, day_of
from rating.funds import Fund, credit, pay
from rating.orders import stamp
from rating.pricing import AppliedPrice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_platform.reading import Item


def top_up(call: Call, body: TopUp) -> Answer:
    """Put money into one fund, once per key; arrears end in the same transaction when it suffices (D21)."""
    table = call.settings.ledger_table

    def effect(account: Account, _: Mapping[str, Item]) -> Effect:
        when = account.booked_at(business_instant(call.now))
        funds, movements = credit(account.funds, Fund(body.fund), Decimal(body.amount))
        after, items = change(call.settings, account, account.with_funds(funds, when), when)
        transaction_id = payment_id(after)
        return Effect(
            [*items, journal_put(table, after, when, "top_up", transaction_id, movements)],
            answer({"transaction_id": transaction_id, "balance": show_balance(funds)}, HTTPStatus.CREATED),
        )

    return once(call, effect)


def adjust(call: Call, body: Adjustment) -> Answer:
    """Compensate into cash, or charge in the order of payment, once per key, with a bill that says why.

    A charge may take the balance below zero and a compensation may end arrears, as for any money (D17, D21). What it
    corrects stays as it is and is pointed from to the adjustment. Raises Problem 404 `transaction_not_found`.
    """
    table = call.settings.ledger_table
    fee = -Decimal(body.amount)

    def effect(account: Account, _: Mapping[str, Item]) -> Effect:
        # Transactions stay, so it does not matter if this one is newer than the account that was read.
        if body.corrects is not None and not is_transaction(clients.dynamodb(), table, account, body.corrects):
            raise problems.not_found("transaction")
        when = account.booked_at(business_instant(call.now))
        funds, movements = pay(account.funds, fee)
        charged = account.with_funds(funds, when, call.settings.release_after)
        after, items = change(call.settings, account, charged, when)
        payment = {movement.fund: -movement.amount for movement in movements}
        # Its details are what it deducts, so its month's precision row does not need it (D15).
        charge = single_charge("", day_of(when), 1, AppliedPrice(fee, None, None), payment)
        bill_id = f"adjustment-{stamp(account.account_id, when, after.version)}"
        bill = bill_of_day(bill_id, after.version, TransactionType.ADJUSTMENT, when, (charge,))
        bill = replace(bill, reason=body.reason, corrects=body.corrects)
        if body.corrects is not None:
            made = Correction(bill.transaction_id(1), when, fee, body.reason)
            items.append(correction_put(table, account.account_id, body.corrects, made))
        return Effect(
            [
                *items,
                bill_put(table, account.account_id, bill),
                journal_put(table, after, when, "adjustment", bill.bill_id, movements),
            ],
            answer(
                {
                    "transaction_id": bill.transaction_id(1),
                    "bill_id": bill.bill_id,
                    "amount": money.yuan(-fee),
                    "payment": show_payment(payment),
                    "balance": show_balance(funds),
                },
                HTTPStatus.CREATED,
            ),
        )

    return once(call, effect)
