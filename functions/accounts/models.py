"""What the account routes take and answer (contract, Accounts)."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictStr, WithJsonSchema

from aws_platform.api import Body, Shown
from aws_platform.contact_fields import Email, Locale, Phone, described
from aws_platform.days import FIRST_DAY, LAST_DAY, Day
from aws_platform.keys import ACCOUNT_ID_PATTERN
from rating import money
from rating.catalog.model import PRICE_LIMIT

_LARGEST_AMOUNT = Decimal(10**9)
_RATE_DECIMALS = 4
"""A list price times a rate must fit the 8 decimals of a detail line (D15, D18)."""
_UNIT_PRICE_DECIMALS = 8
"""As many as a detail line has (D15)."""


def _positive_amount(text: str) -> str:
    if not 0 < money.parse_yuan(text) <= _LARGEST_AMOUNT:
        msg = f"must be above 0 and at most {_LARGEST_AMOUNT}"
        raise ValueError(msg)
    return text


def _signed_amount(text: str) -> str:
    if not 0 < abs(money.parse_yuan(text)) <= _LARGEST_AMOUNT:
        msg = f"must not be 0, and at most {_LARGEST_AMOUNT} either way"
        raise ValueError(msg)
    return text


def _threshold(text: str) -> str:
    if not 0 <= money.parse_yuan(text) <= _LARGEST_AMOUNT:
        msg = f"must be at least 0 and at most {_LARGEST_AMOUNT}"
        raise ValueError(msg)
    return text


def _rate(text: str) -> str:
    if not 0 < _decimal(text, _RATE_DECIMALS) <= 1:
        msg = "must be above 0 and at most 1"
        raise ValueError(msg)
    return text


def _unit_price(text: str) -> str:
    if not 0 < _decimal(text, _UNIT_PRICE_DECIMALS) < PRICE_LIMIT:
        msg = f"must be above 0 and below {PRICE_LIMIT}"
        raise ValueError(msg)
    return text


def _decimal(text: str, decimals: int) -> Decimal:
    if len(text.partition(".")[2]) > decimals:
        msg = f"more than {decimals} decimals"
        raise ValueError(msg)
    return money.parse_decimal(text)


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


def _decimal_field(example: str, decimals: int, sign: str = "") -> Any:
    """A number written as text, as the OpenAPI document shows it."""
    pattern = f"{sign}[0-9]+(\\.[0-9]{{1,{decimals}}})?"
    return Field(max_length=40, examples=[example], json_schema_extra=described(pattern))


AccountId = Annotated[StrictStr, Field(pattern=ACCOUNT_ID_PATTERN)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=500)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=200)]
Yuan = Annotated[StrictStr, _decimal_field("17000.00", 2), AfterValidator(_positive_amount)]
SignedYuan = Annotated[StrictStr, _decimal_field("-12.50", 2, sign="-?"), AfterValidator(_signed_amount)]
Threshold = Annotated[StrictStr, _decimal_field("100.00", 2), AfterValidator(_threshold)]
Rate = Annotated[StrictStr, _decimal_field("0.9", _RATE_DECIMALS), AfterValidator(_rate)]
UnitPrice = Annotated[StrictStr, _decimal_field("0.25", _UNIT_PRICE_DECIMALS), AfterValidator(_unit_price)]
MerchantId = Annotated[StrictStr, Field(pattern=r"^[!-~]{1,64}$")]
TransactionId = Annotated[StrictStr, Field(min_length=1, max_length=200)]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant, json_schema_input_type=Annotated[str, Field(json_schema_extra={"format": "date-time"})]),
]


class ContactBody(Body):
    """Whom to tell."""

    email: Email | None = None
    phone: Phone | None = None
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
    enterprise_verified: Annotated[
        bool | None, WithJsonSchema({"type": "boolean", "description": "only the operator may say it"})
    ] = None


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


class MerchantBody(Body):
    """An E证通 merchant id (D13)."""

    merchant_id: MerchantId


class Adjustment(Body):
    """A compensation, or a charge where the amount is negative."""

    amount: SignedYuan
    reason: Text
    corrects: TransactionId | None = None


class NewVoucher(Body):
    """A voucher to issue (facts.md 3.5)."""

    amount: Yuan
    scene: Literal["prepaid", "postpaid"]
    threshold: Threshold = "0"
    expires_at: Instant | None = None
    single_use: bool = False


class Period(Body):
    """The days on which something holds."""

    from_: Annotated[Day, Field(alias="from")]
    until: Annotated[Day | None, Field(description="the first day on which it holds no more; null: open")] = None


class DiscountBody(Period):
    """A contract discount (D18)."""

    rate: Rate


class ContractPriceBody(Period):
    """A contract price (D18)."""

    unit_price: UnitPrice


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


class MerchantShown(Shown):
    """A granted E证通 merchant id."""

    merchant_id: str
    granted_at: datetime


class PaymentShown(Shown):
    """Which money paid; a compensation is negative."""

    voucher: str
    gift: str
    income_transfer: str
    cash: str


class AdjustmentShown(Shown):
    """A booked adjustment and the bill that shows it."""

    transaction_id: str
    bill_id: str
    amount: str
    payment: PaymentShown
    balance: BalanceShown


class VoucherShown(Shown):
    """A voucher; `expires_at` is the first instant at which it pays no more."""

    voucher_id: str
    scene: Literal["prepaid", "postpaid"]
    amount: str
    remaining: str
    threshold: str
    single_use: bool
    issued_at: datetime
    expires_at: datetime | None
    status: Literal["active", "used", "expired"]


class VouchersShown(Shown):
    """A page of vouchers."""

    items: list[VoucherShown]
    next_cursor: str | None


class PeriodShown(Shown):
    """The days on which something holds: from the first on, `until` excluded."""

    tag: str
    from_: Annotated[date, Field(alias="from")]
    until: date | None


class DiscountShown(PeriodShown):
    """A contract discount."""

    rate: str


class ContractPriceShown(PeriodShown):
    """A contract price."""

    unit_price: str
