"""Vouchers: money that pays for one kind of bill only, and is no part of the balance (D16; facts.md 3.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from rating import money


class Scene(StrEnum):
    """What a voucher may pay for."""

    PREPAID = "prepaid"
    """Orders, which name it."""
    POSTPAID = "postpaid"
    """Settlements, which choose it."""


class VoucherStatus(StrEnum):
    """What a voucher is at an instant."""

    ACTIVE = "active"
    USED = "used"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Voucher:
    """One voucher of one account."""

    voucher_id: str
    scene: Scene
    amount: Decimal
    """Yuan, as issued."""
    remaining: Decimal
    """Yuan that are left; what a single use leaves over is lost."""
    threshold: Decimal
    """The least amount that it helps to pay, in yuan."""
    single_use: bool
    issued_at: datetime
    expires_at: datetime | None = None
    """The first instant at which it pays no more; None: never."""

    def status(self, now: datetime) -> VoucherStatus:
        """What it is at an instant."""
        if not self.remaining:
            return VoucherStatus.USED
        expired = self.expires_at is not None and now >= self.expires_at
        return VoucherStatus.EXPIRED if expired else VoucherStatus.ACTIVE

    def fits(self, scene: Scene, amount: Decimal, now: datetime) -> bool:
        """Whether it may help to pay this amount now."""
        active = self.status(now) is VoucherStatus.ACTIVE
        return active and self.scene is scene and amount > 0 and amount >= self.threshold

    def pays(self, amount: Decimal) -> Decimal:
        """What it pays of an amount that it fits."""
        return min(self.remaining, amount)

    def spent(self, paid: Decimal) -> Voucher:
        """What is left after a payment. Raises ValueError for more than there was."""
        if not 0 <= paid <= self.remaining:
            msg = f"{self.voucher_id} has {self.remaining}, not {paid}"
            raise ValueError(msg)
        return replace(self, remaining=money.ZERO if self.single_use else self.remaining - paid)


def choose(vouchers: Iterable[Voucher], amount: Decimal, now: datetime) -> Voucher | None:
    """The voucher that a settlement takes (facts.md 3.5): the first to expire of those that pay all of it.

    If none does, the first to expire; of these the one that pays most, then the one with the least left.
    """
    fitting = sorted(
        (voucher for voucher in vouchers if voucher.fits(Scene.POSTPAID, amount, now)),
        key=lambda voucher: (
            voucher.expires_at is None,
            voucher.expires_at or now,
            -voucher.pays(amount),
            voucher.remaining,
            voucher.voucher_id,
        ),
    )
    return next((voucher for voucher in fitting if voucher.pays(amount) == amount), next(iter(fitting), None))
