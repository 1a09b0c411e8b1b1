"""The catalog as dated data: what is sold, at what price, and what a call counts as.

The data are JSON files in `data/`, one record a line, to be read and compared by people:

- `tags`: the 32 billing tags. A number is kept in usage records: never change or reuse one.
- `prices_daily`: the guide's price of a call; for monthly accounts too, except where the next file has one.
- `prices_monthly`: the tiers of the five tags that the monthly list prices by the month's calls (D19).
- `packages`: sizes and prices. The records of one tag with one `from` are its whole offer from then on.
- `free_grants`: what a new account gets, and what triggers it (D13).
- `interfaces`: from interface, library and variant to the tag and the charged result codes (D6, D7). Numbered
  like tags, and for the same reason.

`from` is the first day (Shanghai) of a record; null for the first listed one, which holds before its day in
any case (D20). A new price is a new record with a later day, next to the old one. Unit prices are yuan a
call, package prices yuan for the package.
"""

from rating.catalog.book import Catalog
from rating.catalog.building import build
from rating.catalog.loading import load, read_data
from rating.catalog.model import (
    CatalogError,
    DatedPrice,
    FreeGrant,
    GrantTrigger,
    Interface,
    InterfaceKey,
    InterfaceRefused,
    InvalidVariant,
    LibraryRequired,
    MonthlyPrice,
    PackageOffer,
    PriceList,
    Tag,
    Tier,
    UnitPrice,
    UnknownInterface,
    UnknownTag,
)
from rating.catalog.rules import RawData, validate

__all__ = [
    "Catalog",
    "CatalogError",
    "DatedPrice",
    "FreeGrant",
    "GrantTrigger",
    "Interface",
    "InterfaceKey",
    "InterfaceRefused",
    "InvalidVariant",
    "LibraryRequired",
    "MonthlyPrice",
    "PackageOffer",
    "PriceList",
    "RawData",
    "Tag",
    "Tier",
    "UnitPrice",
    "UnknownInterface",
    "UnknownTag",
    "build",
    "load",
    "read_data",
    "validate",
]
