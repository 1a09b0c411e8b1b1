"""Activities: for a time, packages cost less, and perhaps are not taken back (contract, Catalog; D25)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Activity:
    """What an order may name to pay less for its packages, on the days `[first_day, until)`."""

    activity_id: str
    first_day: date
    until: date | None
    """None while no end is set."""
    package_rate: Decimal
    """In (0, 1], at most 4 decimals: a package costs its price x rate."""
    tags: tuple[str, ...] | None
    """The tags whose packages it is for; None for all."""
    refundable: bool
    """Whether packages bought with it may be refunded (D25)."""

    def applies(self, day: date, tags: Iterable[str]) -> bool:
        """Whether an order of that day for packages of these tags may name it: all of them must be its own."""
        if day < self.first_day or (self.until is not None and day >= self.until):
            return False
        return self.tags is None or set(tags) <= set(self.tags)
