"""The rules that the catalog's data keep, checked whenever they are loaded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from rating.catalog.model import PACKAGE_PRICE_DECIMALS, UNIT_PRICE_DECIMALS

RawRecord = Mapping[str, Any]
RawData = Mapping[str, Sequence[RawRecord]]
"""The records of each data file, by the name of the file without `.json`."""

DEFAULT_MODE = "simple"
"""The mode of an event that gives none (contract, codes of interfaces)."""
DEFAULT_INTENTION_VERIFY = False
"""An event that does not speak of the intention did not verify it (contract, codes of interfaces)."""

MAX_NUMBER = 255
"""Numbers of tags and interfaces fill one byte of a usage record."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,9}(?:\.(\d+))?", re.ASCII)


def validate(raw: RawData) -> list[str]:
    """What is wrong with the data, one sentence a problem; empty when nothing is.

    The shape comes first: while a field is missing or malformed, the other rules have nothing to stand on.
    """
    return list(_shape(raw)) or [problem for rule in _RULES for problem in rule(raw)]


def tier_problems(from_calls: Sequence[int]) -> Iterator[str]:
    """What is wrong with the steps of one monthly price (D19)."""
    if not from_calls:
        yield "has no tiers"
    elif from_calls[0] != 0:
        yield "has tiers that do not start at 0 calls"
    if any(later <= earlier for earlier, later in pairwise(from_calls)):
        yield "has tiers that do not ascend"


# --- the shape of a record ---------------------------------------------------------------------------------


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and value == value.strip()


def _is_number(value: object) -> bool:
    return type(value) is int and 1 <= value <= MAX_NUMBER


def _is_calls(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_day(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_price(value: object, decimals: int) -> bool:
    match = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
    return match is not None and len(match[1] or "") <= decimals and Decimal(match[0]) > 0


def _is_unit_price(value: object) -> bool:
    return _is_price(value, UNIT_PRICE_DECIMALS)


def _is_package_price(value: object) -> bool:
    return _is_price(value, PACKAGE_PRICE_DECIMALS)


def _is_tier(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and value.keys() == {"from_calls", "unit_price"}
        and type(value["from_calls"]) is int
        and _is_unit_price(value["unit_price"])
    )


def _is_tiers(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_tier, value))


def _is_codes(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_flag(value: object) -> bool:
    return value is None or type(value) is bool


def _is_one_of(*values: str | None) -> Callable[[object], bool]:
    return lambda value: (value is None or isinstance(value, str)) and value in values


_FIELDS: Mapping[str, Mapping[str, Callable[[object], bool]]] = {
    "tags": {"tag": _is_text, "number": _is_number, "name": _is_text, "family": _is_text},
    "prices_daily": {"tag": _is_text, "unit_price": _is_unit_price, "from": _is_day},
    "prices_monthly": {"tag": _is_text, "tiers": _is_tiers, "from": _is_day},
    "packages": {"tag": _is_text, "calls": _is_calls, "price": _is_package_price, "from": _is_day},
    "free_grants": {
        "tag": _is_text,
        "calls": _is_calls,
        "trigger": _is_one_of("first_opening", "eid_merchant"),
        "opened_from": _is_day,
    },
    "interfaces": {
        "number": _is_number,
        "interface": _is_text,
        "library": _is_one_of("authority", "uploaded", None),
        "mode": _is_one_of("simple", "detailed", None),
        "intention_verify": _is_flag,
        "tag": _is_text,
        "charged_codes": _is_codes,
        "from": _is_day,
    },
}

FILES = tuple(_FIELDS)
"""The data files, by name without `.json`."""


def _shape(raw: RawData) -> Iterator[str]:
    for file in sorted(raw.keys() - _FIELDS.keys()):
        yield f"{file}: no such file"
    for file, fields in _FIELDS.items():
        records: object = raw.get(file)
        if not isinstance(records, list) or not records:
            yield f"{file}: not a list of records"
            continue
        for place, record in enumerate(records, 1):
            yield from _record_shape(f"{file} record {place}", record, fields)


def _record_shape(where: str, record: object, fields: Mapping[str, Callable[[object], bool]]) -> Iterator[str]:
    if not isinstance(record, Mapping):
        yield f"{where}: not an object"
        return
    for field in sorted(fields.keys() - record.keys()):
        yield f"{where}: no {field}"
    for field, value in record.items():
        fits = fields.get(field)
        if fits is None:
            yield f"{where}: unknown field {field}"
        elif not fits(value):
            yield f"{where}: bad {field}: {value!r}"


# --- the rules ---------------------------------------------------------------------------------------------


def _tags_are_numbered(raw: RawData) -> Iterator[str]:
    yield from _numbering("tags", raw["tags"])
    yield from _repeated("tags", "tag", (record["tag"] for record in raw["tags"]))
    yield from _repeated("tags", "name", (record["name"] for record in raw["tags"]))


def _tags_are_known(raw: RawData) -> Iterator[str]:
    known = {record["tag"] for record in raw["tags"]}
    for file in FILES:
        for tag in sorted({record["tag"] for record in raw[file]} - known):
            yield f"{file}: unknown tag {tag}"


def _tags_are_priced(raw: RawData) -> Iterator[str]:
    priced = {record["tag"] for record in raw["prices_daily"]}
    for record in raw["tags"]:
        if record["tag"] not in priced:
            yield f"prices_daily: no price for tag {record['tag']}"
    for file in ("prices_daily", "prices_monthly"):
        yield from _repeated(file, "tag and day", ((record["tag"], record["from"]) for record in raw[file]))


def _tiers_ascend(raw: RawData) -> Iterator[str]:
    for record in raw["prices_monthly"]:
        for problem in tier_problems([tier["from_calls"] for tier in record["tiers"]]):
            yield f"prices_monthly: {record['tag']} {problem}"


def _packages_are_sound(raw: RawData) -> Iterator[str]:
    offers = raw["packages"]
    yield from _repeated("packages", "sku and day", ((o["tag"], o["calls"], o["from"]) for o in offers))
    listed: dict[str, list[tuple[str, Decimal]]] = {}
    for price in raw["prices_daily"]:
        listed.setdefault(price["tag"], []).append((price["from"] or "", Decimal(price["unit_price"])))
    for offer in offers:
        unit_price = _listed_on(sorted(listed.get(offer["tag"], ())), offer["from"] or "")
        if unit_price is not None and Decimal(offer["price"]) > offer["calls"] * unit_price:
            yield f"packages: {offer['tag']}:{offer['calls']} costs more than its calls without a package"


def _listed_on(prices: Sequence[tuple[str, Decimal]], day: str) -> Decimal | None:
    """The price in force on a day. Days are text, which compares alike, and "" for the first."""
    begun = [price for start, price in prices if start <= day] or [price for _, price in prices[:1]]
    return begun[-1] if begun else None


def _grants_are_single(raw: RawData) -> Iterator[str]:
    yield from _repeated("free_grants", "tag", (record["tag"] for record in raw["free_grants"]))


def _interfaces_are_numbered(raw: RawData) -> Iterator[str]:
    interfaces = raw["interfaces"]
    yield from _numbering("interfaces", interfaces)
    keys = ((r["interface"], r["library"], r["mode"], r["intention_verify"]) for r in interfaces)
    yield from _repeated("interfaces", "variant", keys)


def _interfaces_are_charged(raw: RawData) -> Iterator[str]:
    reached = {record["tag"] for record in raw["interfaces"]}
    for record in raw["tags"]:
        if record["tag"] not in reached:
            yield f"interfaces: none reaches tag {record['tag']}"
    for record in raw["interfaces"]:
        where = f"interfaces: number {record['number']}"
        if not record["charged_codes"]:
            yield f"{where} has no charged codes"
        yield from _repeated(where, "charged code", record["charged_codes"])
        if record["from"] is not None:
            yield f"{where} has a day: the mapping is not looked up by day"


def _interface_variants_have_defaults(raw: RawData) -> Iterator[str]:
    for name in dict.fromkeys(record["interface"] for record in raw["interfaces"]):
        variants = [record for record in raw["interfaces"] if record["interface"] == name]
        for field, default in (("mode", DEFAULT_MODE), ("intention_verify", DEFAULT_INTENTION_VERIFY)):
            values = {record[field] for record in variants}
            if values != {None} and default not in values:
                yield f"interfaces: {name} lacks the default {field}"
        for field in ("library", "mode", "intention_verify"):
            values = {record[field] for record in variants}
            if None in values and len(values) > 1:
                yield f"interfaces: {name} is listed with and without {field}"


_RULES: Sequence[Callable[[RawData], Iterator[str]]] = (
    _tags_are_numbered,
    _tags_are_known,
    _tags_are_priced,
    _tiers_ascend,
    _packages_are_sound,
    _grants_are_single,
    _interfaces_are_numbered,
    _interfaces_are_charged,
    _interface_variants_have_defaults,
)


def _numbering(file: str, records: Sequence[RawRecord]) -> Iterator[str]:
    if sorted(record["number"] for record in records) != list(range(1, len(records) + 1)):
        yield f"{file}: the numbers are not 1 to {len(records)}, each once"


def _repeated(where: str, what: str, values: Iterable[Hashable]) -> Iterator[str]:
    for value, times in Counter(values).items():
        if times > 1:
            yield f"{where}: {what} {value} is listed {times} times"
