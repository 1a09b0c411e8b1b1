"""The columns of FOCUS 1.2 for cost and usage data, and what is required of each whatever its row says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spec:
    """What is required of one column whatever its row says."""

    kind: str
    """`string`, `decimal`, `time`, `currency`, `unit`, `json`."""
    level: str = "mandatory"
    """`mandatory`, `recommended`, or the conditions, joined by `+`, under which it is mandatory."""
    nullable: bool = True
    allowed: frozenset[str] = frozenset()
    least: int | None = None


SUPPORTED = frozenset(
    {
        "account_naming",
        "negotiated_pricing",
        "provisioned_resources",
        "public_price_list",
        "resource_types",
        "sub_account",
        "unit_pricing",
        "usage_measurement",
    }
)
"""The conditions that hold for this product, by what the specification calls applicability criteria."""

_CATEGORIES = frozenset(
    {
        "AI and Machine Learning",
        "Analytics",
        "Business Applications",
        "Compute",
        "Databases",
        "Developer Tools",
        "Multicloud",
        "Identity",
        "Integration",
        "Internet of Things",
        "Management and Governance",
        "Media",
        "Migration",
        "Mobile",
        "Networking",
        "Security",
        "Storage",
        "Web",
        "Other",
    }
)
SUBCATEGORIES = {"Identity": {"Identity and Access Management", "Other (Identity)"}}
"""Only of the category that we use."""

_OWED = Spec("decimal", nullable=False)
_NAMED = Spec("string", nullable=False)
_COMMITMENT = "commitment_discounts"
_PRICE_LIST = "public_price_list+unit_pricing"
COLUMNS: Mapping[str, Spec] = {
    "AvailabilityZone": Spec("string", "availability_zones"),
    "BilledCost": _OWED,
    "BillingAccountId": _NAMED,
    "BillingAccountName": _NAMED,  # Not null because accounts have names.
    "BillingAccountType": Spec("string", "billing_account_types"),
    "BillingCurrency": Spec("currency", nullable=False),
    "BillingPeriodEnd": Spec("time", nullable=False),
    "BillingPeriodStart": Spec("time", nullable=False),
    "CapacityReservationId": Spec("string", "capacity_reservations"),
    "CapacityReservationStatus": Spec("string", "capacity_reservations", allowed=frozenset({"Used", "Unused"})),
    "ChargeCategory": Spec(
        "string", nullable=False, allowed=frozenset({"Usage", "Purchase", "Tax", "Credit", "Adjustment"})
    ),
    "ChargeClass": Spec("string", allowed=frozenset({"Correction"})),
    "ChargeDescription": _NAMED,  # The specification only recommends that it is not null.
    "ChargeFrequency": Spec(
        "string", "recommended", nullable=False, allowed=frozenset({"One-Time", "Recurring", "Usage-Based"})
    ),
    "ChargePeriodEnd": Spec("time", nullable=False),
    "ChargePeriodStart": Spec("time", nullable=False),
    "CommitmentDiscountCategory": Spec("string", _COMMITMENT, allowed=frozenset({"Spend", "Usage"})),
    "CommitmentDiscountId": Spec("string", _COMMITMENT),
    "CommitmentDiscountName": Spec("string", _COMMITMENT),
    "CommitmentDiscountQuantity": Spec("decimal", _COMMITMENT),
    "CommitmentDiscountStatus": Spec("string", _COMMITMENT, allowed=frozenset({"Used", "Unused"})),
    "CommitmentDiscountType": Spec("string", _COMMITMENT),
    "CommitmentDiscountUnit": Spec("unit", _COMMITMENT),
    "ConsumedQuantity": Spec("decimal", "usage_measurement"),
    "ConsumedUnit": Spec("unit", "usage_measurement"),
    "ContractedCost": _OWED,
    "ContractedUnitPrice": Spec("decimal", "negotiated_pricing", least=0),
    "EffectiveCost": _OWED,
    "InvoiceId": Spec("string", "recommended"),
    "InvoiceIssuerName": _NAMED,
    "ListCost": _OWED,
    "ListUnitPrice": Spec("decimal", "public_price_list", least=0),
    "PricingCategory": Spec(
        "string", "pricing_categories", allowed=frozenset({"Standard", "Committed", "Dynamic", "Other"})
    ),
    "PricingCurrency": Spec("currency", "pricing_currencies", nullable=False),
    "PricingCurrencyContractedUnitPrice": Spec("decimal", "virtual_currency+public_price_list", least=0),
    "PricingCurrencyEffectiveCost": Spec("decimal", "virtual_currency+public_price_list", nullable=False),
    "PricingCurrencyListUnitPrice": Spec("decimal", "virtual_currency+public_price_list", least=0),
    "PricingQuantity": Spec("decimal"),
    "PricingUnit": Spec("unit"),
    "ProviderName": _NAMED,
    "PublisherName": _NAMED,
    "RegionId": Spec("string", "regions"),
    "RegionName": Spec("string", "regions"),
    "ResourceId": Spec("string", "provisioned_resources"),
    "ResourceName": Spec("string", "provisioned_resources"),
    "ResourceType": Spec("string", "provisioned_resources+resource_types"),
    "ServiceCategory": Spec("string", nullable=False, allowed=_CATEGORIES),
    "ServiceName": _NAMED,
    "ServiceSubcategory": Spec("string", "recommended", nullable=False),
    "SkuId": Spec("string", _PRICE_LIST),
    "SkuMeter": Spec("string", _PRICE_LIST),
    "SkuPriceDetails": Spec("json", _PRICE_LIST),
    "SkuPriceId": Spec("string", _PRICE_LIST),
    "SubAccountId": Spec("string", "sub_account"),
    "SubAccountName": Spec("string", "sub_account"),
    "SubAccountType": Spec("string", "sub_account_types"),
    "Tags": Spec("json", "tagging"),
}
"""All columns of FOCUS 1.2."""


def required() -> frozenset[str]:
    """The columns that a file of ours must have, and those that it should have."""
    return frozenset(
        name
        for name, spec in COLUMNS.items()
        if spec.level in {"mandatory", "recommended"} or SUPPORTED.issuperset(spec.level.split("+"))
    )
