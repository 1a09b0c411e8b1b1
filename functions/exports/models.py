"""What the routes of exports take and answer (contract, Bills)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictStr

from aws_platform.api import Body, Shown
from aws_platform.contact_fields import Locale
from aws_platform.days import MONTH_PATTERN

ExportMonth = Annotated[StrictStr, Field(pattern=MONTH_PATTERN, description="YYYY-MM", examples=["2025-03"])]
ExportBasis = Literal["charge", "usage"]
ExportKind = Literal["resources", "details", "pack", "focus"]
ExportFormat = Literal["csv", "xlsx"]
ExportStatus = Literal["processing", "completed", "failed", "expired"]
MAX_COLUMNS = 100
"""More than any export has."""


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        msg = "names a column twice"
        raise ValueError(msg)
    return names


class NewExport(Body):
    """A month's bills as a file."""

    month: ExportMonth
    kind: ExportKind
    """`pack` is resources and details with a summary; `focus` has the columns of the FinOps specification."""
    format: ExportFormat
    """A pack of CSV files is a zip."""
    basis: ExportBasis | None = None
    """Whether the month is that of the usage day, or of the charge: `usage` if not given, of `focus` `charge`, for the
    specification's billing periods are those of the charge."""
    columns: (
        Annotated[
            list[Annotated[StrictStr, Field(min_length=1, max_length=64)]],
            Field(min_length=1, max_length=MAX_COLUMNS),
            AfterValidator(_once),
        ]
        | None
    ) = None
    """Names of fields of the same rows in the API, in the order wanted; all if not given."""
    locale: Locale | None = None
    """Language of the headers; that of the account's contact if not given. Those of `focus` are the specification's."""


class ExportShown(Shown):
    """An export, and how far it has come. It has what was booked by `as_of`, whenever its file is made."""

    export_id: str
    status: ExportStatus
    url: str | None
    """While it is completed: fetches the file for the next 15 minutes; each answer has a new one."""
    month: str
    basis: ExportBasis
    kind: ExportKind
    format: ExportFormat
    columns: list[str] | None
    locale: Locale
    as_of: datetime
    created_at: datetime
    completed_at: datetime | None
    expires_at: datetime | None
    """When the file goes."""
    rows: int | None
    """Without headers and summary."""
    bytes: int | None
