"""Days in queries, and ranges of them: both ends included (contract, Conventions)."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from pydantic import BeforeValidator

from aws_platform import problems
from aws_platform.problems import FieldError

FIRST_DAY = date(2000, 1, 1)
LAST_DAY = date(2999, 12, 30)
"""Nothing is older or newer: days beyond are taken for these, so that there is room to count from them."""
MONTH_PATTERN = r"^2[0-9]{3}-(0[1-9]|1[0-2])$"
"""A month as the contract writes it."""


def _day(value: object) -> date:
    """A day as the contract writes it; pydantic alone would take a time or epoch seconds too."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        msg = "not a day: YYYY-MM-DD"
        raise ValueError(msg)
    return min(max(date.fromisoformat(value), FIRST_DAY), LAST_DAY)


Day = Annotated[date, BeforeValidator(_day)]


def day_range(first: date | None, last: date | None) -> tuple[date, date]:
    """The range, open ends filled in. Raises Problem 422 where it is backwards."""
    start, end = first or FIRST_DAY, last or LAST_DAY
    if end < start:
        raise problems.invalid_request(FieldError("to", "must not be before from"))
    return start, end
