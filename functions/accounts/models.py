"""What the account routes take and answer (contract, Accounts)."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictStr

from aws_platform.api import Body, Shown
from aws_platform.days import FIRST_DAY, LAST_DAY
from aws_platform.keys import ACCOUNT_ID_PATTERN
from rating import money

_LARGEST_TOP_UP = Decimal(10**9)
_EMAIL = re.compile(r"[^@\s\x00-\x1f<>,;]+@[^@\s\x00-\x1f<>,;]+\.[^@\s\x00-\x1f<>,;]+")
_PHONE = re.compile(r"\+?[0-9][0-9 -]{3,30}")


def _positive_amount(text: str) -> str:
    amount = money.parse_yuan(text)
    if not 0 < amount <= _LARGEST_TOP_UP:
        msg = f"must be above 0 and at most {_LARGEST_TOP_UP}"
        raise ValueError(msg)
    return text


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        msg = "not an e-mail address"
        raise ValueError(msg)
    return text


def _phone(text: str) -> str:
    if not _PHONE.fullmatch(text):
        msg = "not a phone number"
        raise ValueError(msg)
    return text


def _instant(value: Any) -> datetime:
    """An RFC 3339 time with an offset."""
    if not isinstance(value, str) or not re.fullmatch(
        r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:[0-5]\d)", value, re.ASCII
    ):
        msg = "not an RFC 3339 time"
        raise ValueError(msg)
    instant = datetime.fromisoformat(value.upper())
    if not FIRST_DAY < instant.date() < LAST_DAY:
        # Beyond, Shanghai's offset was another one, or there is no such time on its clock.
        msg = f"must be after {FIRST_DAY} and before {LAST_DAY}"
        raise ValueError(msg)
    return instant


AccountId = Annotated[StrictStr, Field(pattern=ACCOUNT_ID_PATTERN)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=500)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=200)]
Locale = Literal["zh-CN", "en"]
Yuan = Annotated[StrictStr, Field(max_length=40, examples=["17000.00"]), AfterValidator(_positive_amount)]
Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=str)]


class ContactBody(Body):
    """Whom to tell."""

    email: Annotated[StrictStr, Field(max_length=254), AfterValidator(_email)] | None = None
    phone: Annotated[StrictStr, Field(max_length=32), AfterValidator(_phone)] | None = None
    locale: Locale = "zh-CN"


class NewAccount(Body):
    """An account to create."""

    account_id: AccountId
    name: Name
    enterprise_verified: bool = False
    contact: ContactBody = ContactBody()


class AccountChange(Body):
    """What may be changed; what is left out stays."""

    postpaid_enabled: bool | None = None
    contact: ContactBody | None = None
    enterprise_verified: bool | None = None


class ApplicationBody(Body):
    """Why the service is wanted."""

    purpose: Text
    license_reference: Text | None = None


class Approval(Body):
    """`opened_at` only for a customer who moved here (D2, D13)."""

    opened_at: Instant | None = None


class Rejection(Body):
    """Why an application is refused."""

    reason: Text | None = None


class ViolationBody(Body):
    """A violation stop, put on or lifted (D22)."""

    active: bool
    reason: Text | None = None


class TopUp(Body):
    """Money in."""

    fund: Literal["cash", "gift", "income_transfer"]
    amount: Yuan


class BalanceShown(Shown):
    """Yuan, 2 decimals."""

    available: str
    cash: str
    income_transfer: str
    gift: str


class ContactShown(Shown):
    """Whom to tell."""

    email: str | None
    phone: str | None
    locale: Locale


class ArrearsShown(Shown):
    """Since when the balance is below zero, and what follows (D21, D23)."""

    since: datetime
    stops_at: datetime
    releases_at: datetime


class ViolationShown(Shown):
    """A violation stop in force (D22)."""

    active: Literal[True]
    since: datetime
    reason: str


class AccountShown(Shown):
    """An account."""

    account_id: str
    name: str
    status: Literal["not_opened", "under_review", "active", "stopped", "released"]
    rejection_reason: str | None
    settlement_cycle: Literal["daily", "monthly"] | None
    created_at: datetime
    opened_at: datetime | None
    postpaid_enabled: bool
    enterprise_verified: bool
    violation: ViolationShown | None
    arrears: ArrearsShown | None
    balance: BalanceShown
    contact: ContactShown


class TopUpShown(Shown):
    """A booked payment."""

    transaction_id: str
    balance: BalanceShown
