"""An account's service and its switches. Each is a function from the account as it is to the account as it will be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from http import HTTPStatus

from accounts.changing import Changed
from accounts.free_packages import with_free_packages
from accounts.models import AccountChange, ApplicationBody, NewAccount, ViolationBody
from accounts.views import show_account
from aws_platform import clients, failures, problems
from aws_platform.accounts import account_put, read_account
from aws_platform.api import Answer, Call, answer
from aws_platform.ledger import OutdatedError, transact
from aws_platform.problems import FieldError, Problem
from aws_platform.snapshot import Snapshot
from rating.account import Account, Application, Contact, Merchant, Stage, Violation
from rating.civil import business_instant, day_of
from rating.history import HISTORY_KEPT, Interval

MAX_MERCHANTS = 100
SWITCHES_A_DAY = 20
"""Each switch cuts the day into one more segment, which its bill has to name."""


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
    dynamodb, settings = clients.dynamodb(), call.settings
    for attempt in failures.attempts():
        known = read_account(dynamodb, settings.ledger_table, account.account_id)
        if known is not None and not (attempt and known == account):
            raise problems.conflict("account_exists", "there is an account with this id")
        try:
            # Where it is there after a try, that one's answer was lost.
            if known is None:
                transact(dynamodb, [account_put(settings, None, account)])
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


def approve(snapshot: Snapshot, opened_at: datetime | None, now: datetime, table: str) -> Changed:
    """Open the service, at an earlier time for a customer who moved here; the others get free packages (D2, D13).

    Raises Problem 409 `no_application`, or 422 for an opening in the future.
    """
    if opened_at is not None and opened_at > now:
        raise problems.invalid_request(FieldError("opened_at", "must not be in the future"))
    if snapshot.account.stage is not Stage.UNDER_REVIEW:
        raise problems.conflict("no_application", "there is no application to decide on")
    opened, approved = business_instant(opened_at or now), business_instant(now)
    account = replace(snapshot.account, stage=Stage.OPENED, opened_at=opened, moved_here=opened < approved)
    return with_free_packages(snapshot, account, "first_opening", opened, table)


def reject(account: Account, reason: str | None) -> Account:
    """Refuse the application. Raises Problem 409 `no_application`."""
    if account.stage is not Stage.UNDER_REVIEW:
        raise problems.conflict("no_application", "there is no application to decide on")
    return replace(account, stage=Stage.NOT_OPENED, application=None, rejection_reason=reason)


def change(account: Account, body: AccountChange, now: datetime) -> Account:
    """Change what is given; postpaid keeps its history (D5). Raises Problem 409 `too_many_changes`, or 422."""
    if "enterprise_verified" in body.model_fields_set:
        if body.enterprise_verified is None:
            raise problems.invalid_request(FieldError("enterprise_verified", "must be true or false"))
        account = replace(account, enterprise_verified=body.enterprise_verified)
    if body.contact is not None:
        given = body.contact.model_dump(include=body.contact.model_fields_set)
        account = replace(account, contact=replace(account.contact, **given))
    if body.postpaid_enabled is not None:
        # Two machines' clocks may differ by a moment; a history only grows.
        when = max((business_instant(now), *account.postpaid.flips[-1:]))
        switched = sum(day_of(flip) == day_of(when) for flip in account.postpaid.flips)
        if switched >= SWITCHES_A_DAY and account.postpaid.at(when) != body.postpaid_enabled:
            raise problems.conflict("too_many_changes", f"postpaid can be switched {SWITCHES_A_DAY} times a day")
        account = replace(
            account, postpaid=account.postpaid.folded(when - HISTORY_KEPT).set(when, body.postpaid_enabled)
        )
    return account


def set_violation(account: Account, body: ViolationBody, now: datetime) -> Account:
    """Stop the account for a violation, or lift that stop; the stop is kept as a dated interval (D22)."""
    when = account.booked_at(business_instant(now))
    if body.active and account.violation is None:
        return replace(account, violation=Violation(when, body.reason or ""))
    if body.active and account.violation is not None:
        return replace(account, violation=Violation(account.violation.since, body.reason or ""))
    if account.violation is None:
        return account
    stops = (*account.stops, Interval(account.violation.since, when))
    return replace(account, violation=None, stops=stops)


def check_may_have(account: Account, merchant_id: object) -> None:
    """Whether the account may have this merchant id: what it was granted it keeps.

    Raises Problem 403 `enterprise_verification_required` or `service_not_open`.
    """
    if any(merchant.merchant_id == merchant_id for merchant in account.merchants):
        return
    if not account.enterprise_verified:
        detail = "only an enterprise-verified account may have E证通 merchants"
        raise Problem(HTTPStatus.FORBIDDEN, "enterprise_verification_required", detail)
    if account.stage is not Stage.OPENED:
        raise Problem(HTTPStatus.FORBIDDEN, "service_not_open", "the service is not open")


def grant_merchant(snapshot: Snapshot, merchant_id: str, now: datetime, table: str) -> Changed:
    """Grant an E证通 merchant id; the first brings the free package (D13). One that was granted stays as it is.

    Raises Problem 403 `enterprise_verification_required`, 403 `service_not_open`, or 409 `too_many_merchants`.
    """
    account = snapshot.account
    if any(merchant.merchant_id == merchant_id for merchant in account.merchants):
        return Changed(account)
    check_may_have(account, merchant_id)
    if len(account.merchants) >= MAX_MERCHANTS:
        raise problems.conflict("too_many_merchants", f"an account can have {MAX_MERCHANTS} merchant ids")
    granted = Merchant(merchant_id, business_instant(now))
    after = replace(account, merchants=(*account.merchants, granted))
    if account.merchants:
        return Changed(after)
    return with_free_packages(snapshot, after, "eid_merchant", granted.granted_at, table)
