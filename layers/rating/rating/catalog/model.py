"""What the catalog is made of, and how it refuses. Money is yuan as `Decimal`, days are Shanghai's (D1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar, Literal

PriceList = Literal["daily", "monthly"]
"""Which list prices an account: that of its settlement cycle (D2)."""

GrantTrigger = Literal["first_opening", "eid_merchant"]
"""What brings a free package: the first opening of the service, or the first E证通 merchant id (D13)."""

InterfaceKey = tuple[str, str | None, str | None, bool | None]
"""Interface, library, mode and intention_verify as a producer gave them; None for what was left out."""

UNIT_PRICE_DECIMALS = 4
"""A list price times a discount rate of 4 decimals (D18) must fit the 8 decimals of a detail line (D15)."""

PACKAGE_PRICE_DECIMALS = 2
"""A package is paid for in whole fen."""

PRICE_LIMIT = Decimal(10**9)
"""Every price is below it, in yuan; larger ones are slips of the keyboard."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A billing tag: what is priced, packaged and billed (guide, channels and tags; D7)."""

    code: str
    number: int
    """1 to 255, for good: usage records keep it instead of the code."""
    name: str
    """As the guide's price tables print it."""
    family: str
    """The product that the tag belongs to."""


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """The daily list's price of a tag from a day on (D20), and the monthly list's where that has none."""

    tag: str
    unit_price: Decimal
    """Yuan a call."""
    from_day: date | None
    """None: the first listed price."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of a monthly price. A month that reaches it is priced at it as a whole (D19)."""

    from_calls: int
    """Calls of the month from which it holds, that number included."""
    unit_price: Decimal
    """Yuan a call."""


@dataclass(frozen=True, slots=True)
class MonthlyPrice:
    """The monthly list's own price of a tag from a day on (D19). A single step makes it flat."""

    tag: str
    tiers: tuple[Tier, ...]
    """The first from 0 calls, then ascending; the last has no upper end."""
    from_day: date | None
    """None: the first listed price."""


@dataclass(frozen=True, slots=True)
class PackageOffer:
    """A package on sale. What is listed for a tag with one day is the tag's whole offer from that day on."""

    tag: str
    calls: int
    price: Decimal
    """Yuan for the package."""
    from_day: date | None
    """None: the first listed offer."""

    @property
    def sku(self) -> str:
        """What an order names, and what stays the same when the price changes."""
        return f"{self.tag}:{self.calls}"


DatedPrice = UnitPrice | MonthlyPrice | PackageOffer
"""What is listed from a day on."""


@dataclass(frozen=True, slots=True)
class FreeGrant:
    """A free package that every main account gets once (guide, free quota; D13)."""

    tag: str
    calls: int
    trigger: GrantTrigger
    opened_from: date | None
    """Only accounts opened on this day or later get it; None: all."""


@dataclass(frozen=True, slots=True, eq=False)
class Interface:
    """One way of calling with one library and variant: the tag that bills it and the codes that cost.

    A catalog holds each once, so identity is equality and hashing costs nothing on the metering path.
    """

    number: int
    """1 to 255, for good: usage records keep it instead of the names."""
    interface: str
    library: str | None
    """`authority`, `uploaded`, or None where the interface compares no faces."""
    mode: str | None
    """`simple` or `detailed` where the interface has modes."""
    intention_verify: bool | None
    """Whether the intention is verified too, where that is a choice."""
    tag: str
    tag_number: int
    charged_codes: tuple[str, ...]
    """The result codes that are charged, in the order of the documentation (D6); any other code is free."""
    charged: frozenset[str]
    """The same codes, to ask `code in interface.charged`."""


class CatalogError(ValueError):
    """The data break rules of the catalog; `problems` names each of them."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the problems one by one, and say them all."""
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class UnknownTag(LookupError):  # noqa: N818 - named for what a caller did, like the other refusals
    """No tag has this code or number."""


class InterfaceRefused(ValueError):  # noqa: N818 - a refusal of input, not a fault of the program
    """What a producer sent names no interface of the catalog. `code` is the stable code of the contract."""

    code: ClassVar[str] = "invalid_event"


class UnknownInterface(InterfaceRefused):
    """There is no interface of this name or number."""

    code = "unknown_interface"


class LibraryRequired(InterfaceRefused):
    """The interface compares with either library, and the event does not say with which."""

    code = "library_required"


class InvalidVariant(InterfaceRefused):
    """A library, mode or intention_verify that the interface does not offer."""
