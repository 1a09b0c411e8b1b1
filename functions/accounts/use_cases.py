"""What can be done with an account. Each is a function from the account as it is to the account as it will be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING

from accounts.models import AccountChange, ApplicationBody, NewAccount, TopUp, ViolationBody
from accounts.views import show_account, show_balance
from aws_platform import clients, failures, problems
from aws_platform.accounts import account_put, read_account
from aws_platform.api import Answer, Call, answer
from aws_platform.idempotency import Effect, once
from aws_platform.ledger import OutdatedError, journal_put, transact
from aws_platform.problems import FieldError
from rating.account import Account, Application, Contact, Stage, Violation
from rating.civil import business_instant, day_of
from rating.funds import Fund, credit
from rating.history import Interval

if TYPE_CHECKING:
    from collections.abc import Callable


SWITCHES_A_DAY = 20
"""Each switch cuts the day into one more segment, which its bill has to name."""
HISTORY_KEPT = timedelta(days=120)
"""No usage older than this is judged any more: a month, and the 35 days that usage may be late, are long over."""


def create(call: Call, body: NewAccount) -> Answer:
    """A new account; it exists, but its service is not open. Raises Problem 409 `account_exists`."""
    account = Account(
        account_id=body.account_id,
        name=body.name,
        created_at=business_instant(call.now),
        enterprise_verified=body.enterprise_verified,
        contact=Contact(body.contact.email, body.contact.phone, body.contact.locale),
        version=1,
    )
    dynamodb, table = clients.dynamodb(), call.settings.ledger_table
    for attempt in failures.attempts():
        known = read_account(dynamodb, table, account.account_id)
        if known is not None and not (attempt and known == account):
            raise problems.conflict("account_exists", "there is an account with this id")
        try:
            # Where it is there after a try, that one's answer was lost.
            if known is None:
                transact(dynamodb, [account_put(table, None, account)])
        except (OutdatedError, failures.TryAgainError):
            continue
        return answer(show_account(account, call.now), HTTPStatus.CREATED)
    raise failures.TryAgainError


def apply(account: Account, body: ApplicationBody) -> Account:
    """Ask for the service to be opened. Raises Problem 409 `already_open`."""
    if account.stage is Stage.OPENED:
        raise problems.conflict("already_open", "the service is open")
    application = Application(body.purpose, body.license_reference)
    return replace(account, stage=Stage.UNDER_REVIEW, application=application, rejection_reason=None)


def approve(account: Account, opened_at: datetime | None, now: datetime) -> Account:
    """Open the service, at an earlier time for a customer who moved here (D2, D13).

    Raises Problem 409 `no_application`, or 422 for an opening in the future.
    """
    if opened_at is not None and opened_at > now:
        raise problems.invalid_request(FieldError("opened_at", "must not be in the future"))
    if account.stage is not Stage.UNDER_REVIEW:
        raise problems.conflict("no_application", "there is no application to decide on")
    return replace(account, stage=Stage.OPENED, opened_at=business_instant(opened_at or now))


def reject(account: Account, reason: str | None) -> Account:
    """Refuse the application. Raises Problem 409 `no_application`."""
    if account.stage is not Stage.UNDER_REVIEW:
        raise problems.conflict("no_application", "there is no application to decide on")
    return replace(account, stage=Stage.NOT_OPENED, application=None, rejection_reason=reason)


def change(account: Account, body: AccountChange, now: datetime, *, operator: bool) -> Account:
    """Change what is given; postpaid keeps its history (D5). Raises Problem 403 for what only the operator may."""
    if "enterprise_verified" in body.model_fields_set:
        if not operator:
            raise problems.forbidden()
        if body.enterprise_verified is None:
            raise problems.invalid_request(FieldError("enterprise_verified", "must be true or false"))
        account = replace(account, enterprise_verified=body.enterprise_verified)
    if body.contact is not None:
        given = body.contact.model_dump(include=body.contact.model_fields_set)
        account = replace(account, contact=replace(account.contact, **given))
    if body.postpaid_enabled is not None:
        # Two machines' clocks may differ by a moment; a history only grows.
        when = max((business_instant(now), *account.postpaid.flips[-1:]))
        if sum(day_of(flip) == day_of(when) for flip in account.postpaid.flips) >= SWITCHES_A_DAY:
            raise problems.conflict("too_many_changes", f"postpaid can be switched {SWITCHES_A_DAY} times a day")
        account = replace(
            account, postpaid=account.postpaid.folded(when - HISTORY_KEPT).set(when, body.postpaid_enabled)
        )
    return account


def set_violation(account: Account, body: ViolationBody, now: datetime) -> Account:
    """Stop the account for a violation, or lift that stop; the stop is kept as a dated interval (D22)."""
    when = business_instant(now)
    if body.active and account.violation is None:
        return replace(account, violation=Violation(when, body.reason or ""))
    if body.active and account.violation is not None:
        return replace(account, violation=Violation(account.violation.since, body.reason or ""))
    if account.violation is None:
        return account
    stops = (*account.stops, Interval(account.violation.since, when))
    return replace(account, violation=None, stops=stops)


def update(call: Call, after: Callable[[Account], Account], status: int = HTTPStatus.OK) -> Answer:
    """Store what `after` makes of the account, computed anew when somebody else was faster."""
    dynamodb, table = clients.dynamodb(), call.settings.ledger_table
    account: Account | None = call.account
    changed: Account | None = None
    for attempt in failures.attempts():
        if attempt:
            account = read_account(dynamodb, table, call.account.account_id)
        if account is None:
            raise problems.not_found("account")
        if account == changed:
            # The try whose answer was lost did happen: what it made may well forbid another.
            return answer(show_account(account, call.now), status)
        changed = after(account)
        if changed == account:
            return answer(show_account(account, call.now), status)
        changed = replace(changed, version=account.version + 1)
        try:
            transact(dynamodb, [account_put(table, account, changed)])
        except (OutdatedError, failures.TryAgainError):
            continue
        return answer(show_account(changed, call.now), status)
    raise failures.TryAgainError


def top_up(call: Call, body: TopUp) -> Answer:
    """Put money into one fund, once per key; arrears end in the same transaction when it suffices (D21)."""
    table = call.settings.ledger_table

    def effect(account: Account) -> Effect:
        when = account.booked_at(business_instant(call.now))
        funds, movements = credit(account.funds, Fund(body.fund), Decimal(body.amount))
        after = replace(account.with_funds(funds, when), version=account.version + 1)
        transaction_id = f"top-up-{after.version}"
        return Effect(
            [
                account_put(table, account, after),
                journal_put(table, after, when, "top_up", transaction_id, movements),
            ],
            answer({"transaction_id": transaction_id, "balance": show_balance(funds)}, HTTPStatus.CREATED),
        )

    return once(call, effect)
