"""What is agreed with one account: discounts and contract prices, dated (D18)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from accounts.changing import Changed, update
from accounts.models import ContractPriceBody, DiscountBody, Period
from accounts.views import show_contract_price, show_discount
from aws_platform import problems
from aws_platform.api import Answer, Call, answer
from aws_platform.problems import FieldError
from aws_platform.snapshot import Snapshot
from rating.pricing import ContractPrice, Discount, Terms

MAX_TERMS = 500
"""Of one account, both kinds together: they are one item, read with every settlement."""


def set_discount(call: Call, tag: str, body: DiscountBody) -> Answer:
    """Agree a discount. Raises Problem 422 for an empty period, 409 `already_settled`, `overlaps`, `too_many_terms`."""
    first, until = _period(body)
    discount = Discount(tag, Decimal(body.rate).normalize(), first, until)

    def after(terms: Terms, settled: date | None) -> Terms:
        return replace(terms, discounts=_agreed(terms.discounts, discount, settled))

    return _store(call, after, show_discount(discount))


def set_contract_price(call: Call, tag: str, body: ContractPriceBody) -> Answer:
    """Agree a price. Raises Problem 422 for an empty period, 409 `already_settled`, `overlaps`, `too_many_terms`."""
    first, until = _period(body)
    price = ContractPrice(tag, Decimal(body.unit_price), first, until)

    def after(terms: Terms, settled: date | None) -> Terms:
        return replace(terms, contract_prices=_agreed(terms.contract_prices, price, settled))

    return _store(call, after, show_contract_price(price))


def _period(body: Period) -> tuple[date, date | None]:
    if body.until is not None and body.until <= body.from_:
        raise problems.invalid_request(FieldError("until", "must be after from"))
    return body.from_, body.until


def _store(call: Call, after: Callable[[Terms, date | None], Terms], shown: Any) -> Answer:
    def changed(snapshot: Snapshot) -> Changed:
        terms = after(snapshot.terms, snapshot.account.settled_through)
        if terms == snapshot.terms:
            return Changed(snapshot.account)
        if len(terms.discounts) + len(terms.contract_prices) > MAX_TERMS:
            raise problems.conflict("too_many_terms", f"an account can have {MAX_TERMS} discounts and contract prices")
        return Changed(snapshot.account, [terms])

    return update(call, changed, lambda _: answer(shown))


def _agreed[T: Discount | ContractPrice](known: Sequence[T], term: T, settled: date | None) -> tuple[T, ...]:
    """All periods with this one in place of that of its tag and first day, by tag and day."""
    old = next((one for one in known if (one.tag, one.first_day) == (term.tag, term.first_day)), None)
    if old == term:
        return tuple(known)
    before = None if old is None else _on_settled(old, settled)
    if before != _on_settled(term, settled):
        raise problems.conflict("already_settled", f"days up to {settled} are settled: their prices stay as they are")
    others = [one for one in known if one is not old]
    if any(_overlap(one, term) for one in others if one.tag == term.tag):
        raise problems.conflict("overlaps", "another period of this tag holds on some of these days")
    return tuple(sorted([*others, term], key=lambda one: (one.tag, one.first_day)))


def _on_settled[T: Discount | ContractPrice](term: T, settled: date | None) -> T | None:
    """What settled days have of a period; None where it begins after them."""
    if settled is None or term.first_day > settled:
        return None
    return replace(term, until=None) if term.until is None or term.until > settled else term


def _overlap(one: Discount | ContractPrice, other: Discount | ContractPrice) -> bool:
    return (one.until is None or other.first_day < one.until) and (other.until is None or one.first_day < other.until)
