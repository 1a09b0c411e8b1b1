"""Verification of money: the lines of a bill, what was deducted, which money paid, and what the journal says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest

from rating import money
from rating.bill import Bill, BilledCharge, billed
from rating.billing import Line, ResourceCharge
from rating.funds import Fund, Movement, share_out
from rating.verification import Difference, Kind

SETTLEMENT = "settlement"
"""The kind of the journal's pages of settlements."""


@dataclass(frozen=True, slots=True)
class Page:
    """What the journal has at a bill's place: signed movements, in order."""

    kind: str
    reference: str
    movements: Sequence[Movement]


def charge_differences(bill: Bill, computed: Sequence[ResourceCharge]) -> list[Difference]:
    """Lines and amounts of a bill against what they should be."""
    return [*_line_differences(bill, computed), *_amount_differences(bill, computed)]


def money_differences(bill: Bill, page: Page | None) -> list[Difference]:
    """How a bill was paid, against its amounts and the journal; None is where the journal has no page for it."""
    journal = _journal_differences(bill, page)
    found: list[Difference] = [*journal]
    shares = _shares(bill, page) if page is not None and not journal else [charge.payment for charge in bill.charges]
    number = 0
    for charge, share in zip(bill.charges, shares, strict=True):
        paid = sum(charge.payment.values(), money.ZERO)
        if paid != charge.amount:
            said, right = money.yuan(paid), money.yuan(charge.amount)
            found.append(Difference(Kind.PAYMENT, "paid for the tag", said, right, bill.bill_id, tag=charge.tag))
        elif _parts(charge.payment) != _parts(share):
            said, right = _show(charge.payment), _show(share)
            found.append(
                Difference(Kind.PAYMENT, "paid for the tag, by fund", said, right, bill.bill_id, tag=charge.tag)
            )
        for line, right_line in zip(charge.lines, _paid_lines(charge), strict=True):
            number += 1
            if _parts(line.payment) != _parts(right_line):
                place = bill.bill_id, bill.transaction_id(number), charge.tag
                said, right = _show(line.payment), _show(right_line)
                found.append(Difference(Kind.PAYMENT, "paid for the line, by fund", said, right, *place))
    return found


def _line_differences(bill: Bill, computed: Sequence[ResourceCharge]) -> list[Difference]:
    right = {charge.tag: charge.lines for charge in computed}
    found: list[Difference] = []
    number = 0
    for charge in bill.charges:
        for line, wanted in zip_longest((one.line for one in charge.lines), right.pop(charge.tag, ())):
            number += line is not None
            transaction_id = bill.transaction_id(number) if line is not None else None
            found += _between(bill, transaction_id, charge.tag, line, wanted)
    for tag, lines in right.items():
        for wanted in lines:
            found += _between(bill, None, tag, None, wanted)
    return found


def _between(
    bill: Bill, transaction_id: str | None, tag: str, line: Line | None, wanted: Line | None
) -> Iterable[Difference]:
    """What two lines say differently; None is a line that is not there."""
    said, right = _facts(line), _facts(wanted)
    for name in said | right:
        if said.get(name) != right.get(name):
            yield Difference(Kind.LINE, name, said.get(name), right.get(name), bill.bill_id, transaction_id, tag)


def _facts(line: Line | None) -> dict[str, str | None]:
    """What a line says, by name."""
    if line is None:
        return {}
    quantities, price = line.quantities, line.price
    prices = {"unit price": price.unit_price, "list price": price.list_price, "discount rate": price.discount_rate}
    return {
        "first day": line.first_day.isoformat(),
        "last day": line.last_day.isoformat(),
        "calls counted": str(quantities.raw),
        "calls of gifts": str(quantities.free),
        "calls of purchases": str(quantities.paid),
        "calls charged": str(quantities.postpaid),
        "calls uncovered": str(quantities.uncovered),
        **{name: None if amount is None else money.price(amount) for name, amount in prices.items()},
        "tier from calls": None if price.tier_from_calls is None else str(price.tier_from_calls),
    }


def _amount_differences(bill: Bill, computed: Sequence[ResourceCharge]) -> list[Difference]:
    said: dict[str, Decimal] = {}
    for charge in bill.charges:
        said[charge.tag] = said.get(charge.tag, money.ZERO) + charge.amount
    right = {charge.tag: charge.amount for charge in computed}
    return [
        Difference(
            Kind.AMOUNT,
            "deducted for the tag",
            money.yuan(said.get(tag, money.ZERO)),
            money.yuan(right.get(tag, money.ZERO)),
            bill.bill_id,
            tag=tag,
        )
        for tag in sorted(said.keys() | right.keys())
        if said.get(tag, money.ZERO) != right.get(tag, money.ZERO)
    ]


def _journal_differences(bill: Bill, page: Page | None) -> list[Difference]:
    """The page names the bill and takes what it deducted, and a voucher's part where one paid.

    Where it moves a fund twice, what the fund holds afterwards follows. Pages before it are not looked at.
    """
    if page is None:
        # A bill that packages have covered moves no money.
        if not any(charge.amount for charge in bill.charges):
            return []
        return [Difference(Kind.JOURNAL, "no page", None, money.yuan(-bill.amount), bill.bill_id)]
    found = []
    if page.reference != bill.bill_id:
        found.append(Difference(Kind.JOURNAL, "reference", page.reference, bill.bill_id, bill.bill_id))
    if page.kind != SETTLEMENT:
        found.append(Difference(Kind.JOURNAL, "kind", page.kind, SETTLEMENT, bill.bill_id))
    found += _balance_differences(bill, page)
    moved = sum((one.amount for one in page.movements), money.ZERO)
    if moved != -bill.amount:
        said, right = money.yuan(moved), money.yuan(-bill.amount)
        found.append(Difference(Kind.JOURNAL, "sum of the entries", said, right, bill.bill_id))
    by_voucher = any(one.fund is Fund.VOUCHER for one in page.movements)
    if by_voucher != (bill.voucher_id is not None):
        entry = "an entry of a voucher" if by_voucher else None
        found.append(Difference(Kind.JOURNAL, "voucher", entry, bill.voucher_id, bill.bill_id))
    return found


def _balance_differences(bill: Bill, page: Page) -> Iterable[Difference]:
    balances: dict[Fund, Decimal] = {}
    for one in page.movements:
        right = balances.get(one.fund, one.balance_after - one.amount) + one.amount
        if one.balance_after != right:
            said, computed = money.yuan(one.balance_after), money.yuan(right)
            yield Difference(Kind.JOURNAL, f"balance of {one.fund}", said, computed, bill.bill_id)
        balances[one.fund] = one.balance_after


def _shares(bill: Bill, page: Page) -> list[Mapping[Fund, Decimal]]:
    """How each charge was paid, by what the journal says was paid: credits to cash, the rest in proportion (D16)."""
    payment = {one.fund: -one.amount for one in page.movements if one.amount < 0}
    shares = share_out(payment, [max(charge.amount, money.ZERO) for charge in bill.charges])
    return [
        {Fund.CASH: charge.amount} if charge.amount < 0 else share
        for charge, share in zip(bill.charges, shares, strict=True)
    ]


def _paid_lines(charge: BilledCharge) -> list[Mapping[Fund, Decimal]]:
    """How each line of a charge is paid, by how the charge is."""
    if not charge.lines:
        return []
    if charge.amount >= 0 > min(charge.payment.values(), default=money.ZERO):
        # No split of a charge has such a part; that there is one is told of the charge.
        return [line.payment for line in charge.lines]
    lines = ResourceCharge(charge.tag, tuple(one.line for one in charge.lines))
    (paid,) = billed([lines], [charge.payment])
    return [line.payment for line in paid.lines]


def _parts(payment: Mapping[Fund, Decimal]) -> dict[Fund, Decimal]:
    return {fund: part for fund, part in payment.items() if part}


def _show(payment: Mapping[Fund, Decimal]) -> str:
    return ", ".join(f"{fund} {money.yuan(payment[fund])}" for fund in Fund if payment.get(fund))
