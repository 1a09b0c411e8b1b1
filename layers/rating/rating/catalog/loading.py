"""Reading the data files that lie beside this module, once."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from rating.catalog.book import Catalog
from rating.catalog.building import build
from rating.catalog.rules import FILES, RawData

_DATA = Path(__file__).with_name("data")


@cache
def load() -> Catalog:
    """The catalog of the data files, read at the first call. Raises CatalogError when they break a rule."""
    return build(read_data())


def read_data() -> RawData:
    """The records of every data file, as they are written."""
    return {file: json.loads((_DATA / f"{file}.json").read_bytes()) for file in FILES}
