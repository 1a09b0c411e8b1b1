"""Payments, splits, vouchers, the journal, and what a balance below zero brings (D15 to D17, D21 to D23)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

from tests.simulation.model.state import FUNDS, GRACE, ZERO, Account, Entry, Notice, Payment, Voucher
from tests.simulation.model.times import stamp

FEN = Decimal("0.01")
ALL_FUNDS = ("voucher", *FUNDS)


def to_fen(amount: Decimal) -> Decimal:
    """Half-up, away from zero (D15)."""
    return amount.quantize(FEN, ROUND_HALF_UP)


def money(amount: Decimal) -> str:
    """As answers show money."""
    return f"{abs(amount) if amount == 0 else amount:.2f}"


def cost(amount: Decimal) -> str:
    """As answers show fees."""
    return f"{abs(amount) if amount == 0 else amount:.8f}"


def paid_by(account: Account, amount: Decimal, voucher: Voucher | None) -> Payment:
    """Who pays an amount: voucher, gift, income transfer, and cash, which may go below zero (D16, D17)."""
    payment = dict.fromkeys(ALL_FUNDS, ZERO)
    if voucher is not None:
        payment["voucher"] = min(voucher.remaining, amount)
    rest = amount - payment["voucher"]
    for fund in FUNDS[:-1]:
        payment[fund] = min(max(account.funds[fund], ZERO), rest)
        rest -= payment[fund]
    payment["cash"] = rest
    return payment


def spend(account: Account, voucher: Voucher | None, amount: Decimal) -> None:
    """Take something from a voucher; what a single use leaves is lost."""
    if voucher is not None:
        voucher.remaining -= amount
        if voucher.single_use:
            voucher.remaining = ZERO
    assert voucher is not None or amount == 0, account.account_id


def shares(amounts: Sequence[Decimal], payment: Mapping[str, Decimal]) -> list[Payment]:
    """Each row's part of each fund (D16): in proportion, floored to the fen, the remainder on the last.

    Each fund is split over what those before it have left of the rows, so cash makes every row up to its amount. Where
    so few fen are split that the last row would get more than it has left, the rows before it get the rest.
    """
    rows: list[Payment] = [dict.fromkeys(ALL_FUNDS, ZERO) for _ in amounts]
    for fund in ALL_FUNDS:
        rest = [amount - sum(row.values(), ZERO) for row, amount in zip(rows, amounts, strict=True)]
        total, left = sum(rest, ZERO), payment[fund]
        if not total:
            break
        parts = [(payment[fund] * one / total).quantize(FEN, ROUND_FLOOR) for one in rest[:-1]] + [ZERO]
        left -= sum(parts, ZERO)
        for place in reversed(range(len(rows))):
            more = min(left, rest[place] - parts[place])
            rows[place][fund] = parts[place] + more
            left -= more
    return rows


def choose(vouchers: Iterable[Voucher], amount: Decimal, now: datetime) -> Voucher | None:
    """The voucher of a settlement (facts.md 3.5): the first to expire of those that pay all, else of all."""
    usable = [one for one in vouchers if one.usable("postpaid", amount, now)]
    enough = [one for one in usable if one.remaining >= amount]
    ranked = sorted(
        enough or usable,
        key=lambda one: (one.expires, -min(one.remaining, amount), one.remaining, one.voucher_id),
    )
    return ranked[0] if ranked and amount > 0 else None


class Books:
    """Moves the money of accounts, and tells what follows from it."""

    def __init__(self, release_days: int) -> None:
        """``release_days``: from the stop to the release."""
        self.release_after = timedelta(days=release_days)

    def book(
        self,
        account: Account,
        at: datetime,
        kind: str,
        pays: Mapping[str, Decimal],
        voucher: Voucher | None = None,
        credit: Decimal = ZERO,
    ) -> None:
        """Enter a credit to cash and what each fund pays (or gets, where it is negative), and see about arrears."""
        spend(account, voucher, pays.get("voucher", ZERO))
        movements = [(fund, -pays.get(fund, ZERO)) for fund in ALL_FUNDS]
        movements.insert(1, ("cash", credit))
        for fund, amount in movements:
            if fund == "voucher":
                after = voucher.remaining if voucher else ZERO
            else:
                account.funds[fund] += amount
                after = account.funds[fund]
            if amount:
                account.journal.append(Entry(at, kind, fund, amount, after))
        if account.available < 0 and account.arrears is None:
            account.arrears, account.stop_told, account.release_told = at, False, False
            account.notices.append(Notice("arrears", at, self._times(at)))
        elif account.available >= 0 and account.arrears is not None:
            self._end_arrears(account, at)

    def stops_at(self, account: Account) -> datetime:
        """When arrears stop service."""
        assert account.arrears is not None
        return account.arrears + GRACE

    def releases_at(self, account: Account) -> datetime:
        """When arrears release service."""
        return self.stops_at(account) + self.release_after

    def released(self, account: Account, now: datetime) -> bool:
        """Whether service is released."""
        return account.arrears is not None and now >= self.releases_at(account)

    def tell_due(self, account: Account, now: datetime) -> None:
        """What a sweep tells of a stop or release that has come by the clock."""
        if account.arrears is None:
            return
        times = self._times(account.arrears)
        if now >= self.stops_at(account) and not account.stop_told:
            account.stop_told = True
            account.notices.append(Notice("stopped", self.stops_at(account), (("cause", "arrears"), *times)))
        if now >= self.releases_at(account) and not account.release_told:
            account.release_told = True
            account.notices.append(Notice("released", self.releases_at(account), ()))

    def release_packages(self, account: Account, now: datetime) -> None:
        """Packages that were there at the release have ended with it (D23)."""
        if self.released(account, now):
            at = self.releases_at(account)
            for package in account.packages:
                if package.released is None and package.delivered < at <= package.ends:
                    package.released = at

    def violate(self, account: Account, now: datetime, *, active: bool) -> None:
        """A violation begins or ends; saying it again changes nothing (D22)."""
        holds = bool(account.violations) and account.violations[-1][1] is None
        if active == holds:
            return
        if active:
            account.violations.append((now, None))
            times = (("releases_at", None), ("stops_at", stamp(now)))
            account.notices.append(Notice("stopped", now, (("cause", "violation"), *times)))
            return
        account.violations[-1] = (account.violations[-1][0], now)
        if not account.stopped_at(now):
            account.notices.append(Notice("resumed", now, (("cause", "violation"),)))

    def _end_arrears(self, account: Account, at: datetime) -> None:
        """A credit ends arrears and resumes service, at once; what no sweep has told is told with it (D21)."""
        self.tell_due(account, at)
        self.release_packages(account, at)
        stop = self.stops_at(account)
        account.arrears = None
        if at >= stop:
            account.stops.append((stop, at))
            if not account.violated_at(at):
                account.notices.append(Notice("resumed", at, (("cause", "arrears"),)))

    def _times(self, since: datetime) -> tuple[tuple[str, str], ...]:
        stop = since + GRACE
        return ("releases_at", stamp(stop + self.release_after)), ("stops_at", stamp(stop))
