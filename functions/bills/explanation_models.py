"""What the explanation of a line answers: steps in order, each as a sentence and as figures (contract, Bills).

Yuan as text, quantities as integers. For a line of usage the figures add up: over its segments `calls`, plus what is
carried, is `raw_quantity`; over the packages `calls`, plus what is carried, is `deducted_quantity`; and
`raw_quantity - deducted_quantity - uncovered_quantity = quantity`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from aws_platform.api import Shown
from bills.models import Payment, TransactionTypeShown

SetBy = Literal["catalog", "operator"]
PackageSource = Literal["gift", "purchase"]
type Step = dict[str, Any]
"""The figures of one of the steps below, as they are made: its text is added last."""


class ExplainedCut(Shown):
    """What happened at an instant inside a day, so that the day is counted in parts (D5)."""

    cause: Literal["postpaid_on", "postpaid_off", "stop_began", "stop_ended", "package_ended", "released"]
    package_id: str | None


class ExplainedSegment(Shown):
    """A stretch of a day and its calls of the tag, up to `end`, which is no longer in it."""

    day: date
    start: datetime
    end: datetime
    begins_with: Annotated[list[ExplainedCut], Field(description="empty at 00:00")]
    ends_with: Annotated[list[ExplainedCut], Field(description="empty at 24:00")]
    stopped: Annotated[bool, Field(description="service was stopped: packages are not used (D22)")]
    postpaid: Annotated[bool, Field(description="what packages leave is charged, or else stays uncovered (D14)")]
    calls: int
    deducted_quantity: int
    quantity: int
    uncovered_quantity: int


class ExplainedQuantities(Shown):
    """Quantities of a line."""

    raw_quantity: int
    deducted_quantity: int
    quantity: int
    uncovered_quantity: int


class ExplainedEarlier(Shown):
    """What an earlier bill had already taken of the same usage."""

    bill_id: str
    charged_at: datetime
    calls: int


class UsageStep(ExplainedQuantities):
    """Which calls were counted, and how: late usage is what earlier bills had not taken."""

    step: Literal["usage"]
    text: str
    first_day: date
    last_day: date
    segments: list[ExplainedSegment]
    carried: Annotated[
        ExplainedQuantities,
        Field(description="taken over from lines of earlier bills that priced the month at another step (D19)"),
    ]
    earlier: list[ExplainedEarlier]


class ExplainedPackage(Shown):
    """Calls that a package gave for a segment, in the order of use (D9)."""

    package_id: str
    name: str
    source: PackageSource
    delivered_at: datetime
    ends_at: datetime
    start: datetime
    end: datetime
    calls: int


class PackagesStep(Shown):
    """Who covered the calls: free and gifted packages, then bought ones, then postpaid, or nobody."""

    step: Literal["packages"]
    text: str
    packages: list[ExplainedPackage]
    free: int
    paid: int
    deducted_quantity: int
    quantity: int
    uncovered_quantity: int


class ExplainedDiscount(Shown):
    """A contract discount, from its first day on, `until` excluded."""

    rate: str
    from_: Annotated[date, Field(alias="from")]
    until: date | None


class ExplainedContractPrice(Shown):
    """A contract price, from its first day on, `until` excluded."""

    unit_price: str
    from_: Annotated[date, Field(alias="from")]
    until: date | None


class PriceStep(Shown):
    """What a call costs, and where that comes from."""

    step: Literal["price"]
    text: str
    price_list: Annotated[Literal["daily", "monthly"] | None, Field(description="null under a contract price")]
    list_price: str | None
    listed_from: Annotated[date | None, Field(description="null: the first listed price, or a contract price")]
    set_by: SetBy | None
    tier_from_calls: int | None
    month_quantity: Annotated[int | None, Field(description="calls of the month that picked the step")]
    discount_rate: str | None
    discount: ExplainedDiscount | None
    contract_price: ExplainedContractPrice | None
    unit_price: str


class PackageStep(Shown):
    """The package that was bought."""

    step: Literal["package"]
    text: str
    order_id: str
    package_id: str
    name: str
    sku: str
    calls: int
    delivered_at: datetime
    ends_at: datetime
    list_price: str
    listed_from: Annotated[date | None, Field(description="null: the first listed price")]
    set_by: SetBy
    activity_id: str | None
    package_rate: str
    unit_price: str


class RefundStep(Shown):
    """The package that was given back, and what of its payment goes back: what a voucher paid is lost (D24)."""

    step: Literal["refund"]
    text: str
    refund_id: str
    order_id: str
    package_id: str
    name: str
    requested_at: datetime
    completed_at: datetime
    paid: Payment
    refunds: Payment
    voucher_forfeited: str


class AdjustmentStep(Shown):
    """Why the operator adjusted, and what that corrects."""

    step: Literal["adjustment"]
    text: str
    reason: str
    corrects: str | None


class TagDifference(Shown):
    """What was deducted for a tag in a month less its details; null for adjustments, which are for none."""

    tag: str | None
    name: str
    details: str
    deducted: str
    difference: str


class MonthStep(Shown):
    """The month of charges that the row closes: deducted less details. It moves no money (D15)."""

    step: Literal["month"]
    text: str
    month: str
    by_tag: list[TagDifference]
    details: str
    deducted: str
    difference: str


class CostStep(Shown):
    """Unit price times quantity, exact to 8 decimals."""

    step: Literal["cost"]
    text: str
    unit_price: str
    quantity: int
    original_cost: str | None
    total_cost: str
    formula: str


class RoundingStep(Shown):
    """All lines of the resource together are rounded half-up to the fen (D15)."""

    step: Literal["rounding"]
    text: str
    resource_id: str | None
    lines: int
    details: str
    deducted: str
    difference: str


class PaymentStep(Payment):
    """Which money paid the line, and all lines of the resource."""

    step: Literal["payment"]
    text: str
    voucher_id: str | None
    resource: Payment


class ExplainedCorrection(Shown):
    """An adjustment that names this line."""

    transaction_id: str
    charged_at: datetime
    total_cost: str
    reason: str


class CorrectionsStep(Shown):
    """What corrects the line, which itself stays as it was issued."""

    step: Literal["corrections"]
    text: str
    corrections: list[ExplainedCorrection]


ExplainedStep = Annotated[
    UsageStep
    | PackagesStep
    | PriceStep
    | PackageStep
    | RefundStep
    | AdjustmentStep
    | MonthStep
    | CostStep
    | RoundingStep
    | PaymentStep
    | CorrectionsStep,
    Field(discriminator="step"),
]


class CallsQuery(Shown):
    """Where the calls behind a line are found: SQL for Athena, on the archive of raw events."""

    database: str
    sql: str


class ExplanationShown(Shown):
    """How a line came to be, step by step."""

    transaction_id: str
    bill_id: str
    transaction_type: TransactionTypeShown
    tag: str | None
    charged_at: datetime
    locale: Literal["zh-CN", "en"]
    steps: list[ExplainedStep]
    calls_query: CallsQuery | None
