"""The requirements of FOCUS 1.2 for cost and usage data, as far as a file of ours can break them.

Each has the id that the requirements model of the specification gives it (model 1.2.0.1); where the model and the text
of the specification differ, the text holds. docs/focus.md says which requirements are not about the data, or not about
a product like this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from tests.support.focus_columns import COLUMNS, SUBCATEGORIES, required

type Cells = Mapping[str, str | None]
"""A row as text by column ID; null where there is nothing between two commas."""

_NUMBER = re.compile(r"-?([0-9]*\.)?[0-9]+(E-?[0-9]+)?")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_UNIT = re.compile(r"([0-9]+ )?[A-Z][A-Za-z]*(-[A-Z][a-z]+)?(/([0-9]+ )?[A-Z][a-z]+)?")
_ID = re.compile(r"(x_)?[A-Z][A-Za-z0-9]*")


def violations(names: Sequence[str], rows: Sequence[Cells]) -> Iterator[str]:
    """The ids of what a file breaks, and of what it does not follow though it should, each with the value at fault."""
    yield from _header(names)
    for cells in rows:
        for name in names:
            yield from _cell(name, cells[name])
        yield from (
            f"{one.rule_id}: {one.shown(cells)}" for one in RULES if one.applies(cells) and not one.holds(cells)
        )
    for rule_id, child, parent in _ONE_PARENT:
        parents: dict[str | None, set[str | None]] = {}
        for cells in rows:
            parents.setdefault(cells[child], set()).add(cells[parent])
        yield from (f"{rule_id}: {one}" for one, found in parents.items() if one is not None and len(found) > 1)


def _header(names: Sequence[str]) -> Iterator[str]:
    yield from (f"CostAndUsage-D: no {name}" for name in sorted(required().difference(names)))
    yield from (f"ColumnHandling-A-001-M: {name}" for name in names if not _ID.fullmatch(name))
    yield from (f"ColumnHandling-A-005-O: {name}" for name in names if len(name) > 50)
    yield from (f"ColumnHandling-A-010-M: {name}" for name in names if name not in COLUMNS and name[:2] != "x_")
    if sorted(names, key=lambda name: name not in COLUMNS) != list(names) or len(set(names)) < len(names):
        yield "ColumnHandling-A-013-O"


def _cell(name: str, value: str | None) -> Iterator[str]:
    spec = COLUMNS.get(name)
    if value is not None and not value.strip():
        yield f"NullHandling-A-002-M: {name}"
    if spec is None:
        return
    if value is None:
        if not spec.nullable:
            yield f"{name}: null"
        return
    if not _FORMATS[spec.kind](value):
        yield f"{name}: not a {spec.kind}: {value}"
    elif spec.allowed and value not in spec.allowed:
        yield f"{name}: not allowed: {value}"
    elif spec.least is not None and Decimal(value) < spec.least:
        yield f"{name}: too small: {value}"


def _is_time(text: str) -> bool:
    """UTC, ISO 8601, with Z (DateTimeFormat)."""
    return _TIME.fullmatch(text) is not None and datetime.fromisoformat(text).tzinfo == UTC


def _is_json(text: str) -> bool:
    """One flat object, each key once (KeyValueFormat); all of ours are our own and say so by `x_`."""
    pairs: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
    keys = [key for key, _ in pairs]
    flat = all(value is None or isinstance(value, str | int | float | bool) for _, value in pairs)
    return flat and len(set(keys)) == len(keys) and all(key.startswith("x_") for key in keys)


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "string": lambda text: text.encode(errors="ignore").decode() == text,
    "decimal": lambda text: _NUMBER.fullmatch(text) is not None,
    "time": _is_time,
    "currency": lambda text: text == "CNY",
    "unit": lambda text: _UNIT.fullmatch(text) is not None,
    "json": _is_json,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A requirement across the columns of one row."""

    rule_id: str
    about: str
    """The columns that it looks at."""
    applies: Callable[[Cells], bool]
    holds: Callable[[Cells], bool]

    def shown(self, cells: Cells) -> str:
        """What it looked at."""
        return ", ".join(f"{name}={cells.get(name)}" for name in self.about.split())


def _always(_: Cells) -> bool:
    return True


def _is(name: str, *values: str | None) -> Callable[[Cells], bool]:
    return lambda cells: cells.get(name) in values


def _null(name: str) -> Callable[[Cells], bool]:
    return _is(name, None)


def _known(*names: str) -> Callable[[Cells], bool]:
    return lambda cells: all(cells.get(name) is not None for name in names)


def _both(*tests: Callable[[Cells], bool]) -> Callable[[Cells], bool]:
    return lambda cells: all(test(cells) for test in tests)


def _number(cells: Cells, name: str) -> Decimal:
    return Decimal(cells.get(name) or 0)


def _zero(name: str) -> Callable[[Cells], bool]:
    return lambda cells: _number(cells, name) == 0


def _same(one: str, other: str) -> Callable[[Cells], bool]:
    return lambda cells: cells.get(one) == cells.get(other)


def _product(price: str, cost: str) -> Callable[[Cells], bool]:
    return lambda cells: _number(cells, price) * _number(cells, "PricingQuantity") == _number(cells, cost)


def _in_order(start: str, end: str) -> Callable[[Cells], bool]:
    return lambda cells: str(cells[start]) < str(cells[end])


_ORDINARY = _null("ChargeClass")
_SOLD = _is("ChargeCategory", "Usage", "Purchase")
_TAX = _is("ChargeCategory", "Tax")
_USED = _is("ChargeCategory", "Usage")
_UNRELATED = _is("ChargeCategory", "Credit", "Adjustment")


def _with(rule_id: str, name: str, other: str) -> tuple[Rule, Rule]:
    """The two requirements of a column that is null exactly where another one is."""
    about = f"{name} {other}"
    return (
        Rule(f"{rule_id}: null", about, _null(other), _null(name)),
        Rule(f"{rule_id}: not null", about, _known(other), _known(name)),
    )


def _sold(rule_id: str, name: str) -> tuple[Rule, Rule]:
    """The two requirements of a column that what is sold has and taxes do not."""
    about = f"{name} ChargeCategory ChargeClass"
    return (
        Rule(f"{rule_id}: tax", about, _TAX, _null(name)),
        Rule(f"{rule_id}: sold", about, _both(_SOLD, _ORDINARY), _known(name)),
    )


RULES: tuple[Rule, ...] = (
    *_sold("ListUnitPrice-C-004/005", "ListUnitPrice"),
    *_sold("ContractedUnitPrice-C-005/006", "ContractedUnitPrice"),
    *_sold("PricingCurrencyListUnitPrice-C-004/005", "PricingCurrencyListUnitPrice"),
    *_sold("PricingCurrencyContractedUnitPrice-C-004/005", "PricingCurrencyContractedUnitPrice"),
    *_sold("PricingQuantity-C-004/005", "PricingQuantity"),
    *_sold("PricingCategory-C-003/004", "PricingCategory"),
    *_sold("SkuId-C-004/005", "SkuId"),
    *_sold("SkuPriceId-C-004/005", "SkuPriceId"),
    *_with("PricingUnit-C-005/006", "PricingUnit", "PricingQuantity"),
    *_with("ConsumedUnit-C-005/006", "ConsumedUnit", "ConsumedQuantity"),
    *_with("SkuMeter-C-004/005", "SkuMeter", "SkuId"),
    *_with("ResourceType-C-004/005", "ResourceType", "ResourceId"),
    *_with("SubAccountName-C-004/005", "SubAccountName", "SubAccountId"),
    *_with("CommitmentDiscountCategory-C-003/004", "CommitmentDiscountCategory", "CommitmentDiscountId"),
    *_with("CommitmentDiscountType-C-004/005", "CommitmentDiscountType", "CommitmentDiscountId"),
    *_with("CommitmentDiscountQuantity-C-005/007", "CommitmentDiscountQuantity", "CommitmentDiscountId"),
    *_with("CommitmentDiscountUnit-C-005/006", "CommitmentDiscountUnit", "CommitmentDiscountQuantity"),
    *_with("CommitmentDiscountStatus-C-003/004", "CommitmentDiscountStatus", "CommitmentDiscountId"),
    Rule("SkuPriceDetails-C-004-C", "SkuPriceDetails SkuPriceId", _null("SkuPriceId"), _null("SkuPriceDetails")),
    Rule("ResourceName-C-004-C", "ResourceName ResourceId", _null("ResourceId"), _null("ResourceName")),
    Rule(
        "ResourceName-C-006-C",
        "ResourceName ResourceId",
        _known("ResourceId"),
        lambda c: not _same("ResourceName", "ResourceId")(c),
    ),
    Rule(
        "ConsumedQuantity-C-004-C", "ConsumedQuantity ChargeCategory", lambda c: not _USED(c), _null("ConsumedQuantity")
    ),
    Rule(
        "ConsumedQuantity-C-006-C",
        "ConsumedQuantity ChargeCategory",
        _both(_USED, _ORDINARY),
        _known("ConsumedQuantity"),
    ),
    Rule(
        "ChargeFrequency-C-004-C",
        "ChargeFrequency",
        _is("ChargeCategory", "Purchase"),
        _is("ChargeFrequency", "One-Time", "Recurring"),
    ),
    Rule("PricingCategory-C-008-C", "PricingCategory", _known("PricingCategory"), _is("PricingCategory", "Standard")),
    Rule(
        "ListUnitPrice-C-010-C",
        "ListUnitPrice PricingQuantity ListCost",
        _both(_ORDINARY, _known("ListUnitPrice", "PricingQuantity")),
        _product("ListUnitPrice", "ListCost"),
    ),
    Rule(
        "ContractedUnitPrice-C-011-C",
        "ContractedUnitPrice PricingQuantity ContractedCost",
        _both(_ORDINARY, _known("ContractedUnitPrice", "PricingQuantity")),
        _product("ContractedUnitPrice", "ContractedCost"),
    ),
    Rule(
        "ListCost-C-008-C",
        "ListCost BilledCost",
        _both(_UNRELATED, _null("ListUnitPrice")),
        _same("ListCost", "BilledCost"),
    ),
    Rule(
        "ContractedCost-C-008-C",
        "ContractedCost BilledCost",
        _both(_UNRELATED, _null("ContractedUnitPrice")),
        _same("ContractedCost", "BilledCost"),
    ),
    Rule(
        "EffectiveCost-C-005-C",
        "EffectiveCost ChargeCategory",
        _is("ChargeCategory", "Purchase"),
        _zero("EffectiveCost"),
    ),
    Rule(
        "PricingCurrencyEffectiveCost-C-005-M",
        "PricingCurrencyEffectiveCost ChargeCategory",
        _is("ChargeCategory", "Purchase"),
        _zero("PricingCurrencyEffectiveCost"),
    ),
    Rule("EffectiveCost-C-010-C", "EffectiveCost BilledCost", _UNRELATED, _same("EffectiveCost", "BilledCost")),
    Rule(
        "BilledCost-C-005-C",
        "BilledCost ProviderName InvoiceIssuerName",
        lambda c: not _same("ProviderName", "InvoiceIssuerName")(c),
        _zero("BilledCost"),
    ),
    Rule("DiscountHandling-A-009-C", "BilledCost x_Coverage", _both(_USED, _known("x_PackageId")), _zero("BilledCost")),
    Rule(
        "ServiceSubcategory-C-004-M",
        "ServiceSubcategory ServiceCategory",
        _always,
        lambda c: c["ServiceSubcategory"] in SUBCATEGORIES.get(str(c["ServiceCategory"]), set()),
    ),
    Rule(
        "BillingPeriodEnd-C-004-M",
        "BillingPeriodStart BillingPeriodEnd",
        _always,
        _in_order("BillingPeriodStart", "BillingPeriodEnd"),
    ),
    Rule(
        "ChargePeriodEnd-C-004-M",
        "ChargePeriodStart ChargePeriodEnd",
        _always,
        _in_order("ChargePeriodStart", "ChargePeriodEnd"),
    ),
)
_ONE_PARENT = (
    ("SkuPriceId-C-008-M", "SkuPriceId", "SkuId"),
    ("SkuPriceDetails-C-007-M", "SkuPriceId", "SkuPriceDetails"),
    ("SkuMeter-C-006-O", "SkuId", "SkuMeter"),
    ("ServiceName-C-005-C", "ServiceName", "ServiceCategory"),
    ("ServiceName-C-008-C", "ServiceName", "ServiceSubcategory"),
    ("ResourceType", "ResourceId", "ResourceType"),
)
"""(id, child, parent): a child has one parent all over a file."""
