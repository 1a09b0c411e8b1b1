"""Makes the file of an export: bills are read page by page and written row by row, so that memory does not grow."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from aws_platform.accounts import read_account
from aws_platform.bill_rows import Row, Shower, detail_rows, resource_rows
from aws_platform.bills import bills_by_charge, bills_by_usage
from aws_platform.exports import Export, What
from aws_platform.reconcile import balance
from exports.columns import DETAIL_COLUMNS, RESOURCE_COLUMNS, chosen
from exports.csv_file import write_csv
from exports.focus import BillingAccount, focus_rows
from exports.focus_columns import FOCUS_COLUMNS
from exports.focus_sources import stored
from exports.summary import SUMMARY_COLUMNS, Tallies, summary
from exports.tables import Column, Table, Value
from exports.workbook import Workbook
from rating.bill import Bill
from rating.catalog import Catalog
from rating.civil import local

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SHEETS = {
    "summary": ("汇总", "Summary"),
    "resources": ("资源账单", "Resources"),
    "details": ("明细账单", "Details"),
    "focus": ("FOCUS", "FOCUS"),
}


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes files of exports."""

    dynamodb: DynamoDBClient
    table: str
    """The ledger's."""
    catalog: Catalog

    def make(self, export: Export, folder: Path) -> tuple[Path, int]:
        """Make the file in a folder; where it is, and the number of its rows without headers and summary.

        The same export makes the same file, whenever it is made.
        """
        path = folder / f"export.{export.extension}"
        if export.file_format == "xlsx":
            return path, self._workbook(export, path)
        with path.open("wb") as file:
            if export.what is What.PACK:
                return path, self._zip(export, file)
            (table,) = self._tables(export, Tallies())
            return path, write_csv(file, table, export.locale)

    def _workbook(self, export: Export, path: Path) -> int:
        rows, tallies = 0, Tallies()
        with Workbook(path, export.created_at, export.locale) as book:
            # It comes first, and is known last.
            first = book.place(sheet_name("summary", export.locale), SUMMARY_COLUMNS) if _is_pack(export) else None
            for table in self._tables(export, tallies):
                name = sheet_name(table.name, export.locale)
                rows += book.add(name, table) if table.columns else _pass_over(table)
            if first is not None:
                first.write(self._summary(export, tallies))
        return rows

    def _zip(self, export: Export, file: IO[bytes]) -> int:
        rows, tallies = 0, Tallies()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
            for table in self._tables(export, tallies):
                rows += _add(pack, export, table) if table.columns else _pass_over(table)
            _add(pack, export, self._summary(export, tallies))
        return rows

    def _summary(self, export: Export, tallies: Tallies) -> Table:
        compared = balance(self.dynamodb, self.table, export.account_id, export.month)
        return summary(export, tallies, compared, self.catalog)

    def _tables(self, export: Export, tallies: Tallies) -> Iterator[Table]:
        """The tables of an export, each to be written before the next is asked for."""
        shower = Shower(export.account_id, self.catalog)
        if export.what is What.FOCUS:
            yield self._focus(export)
        if export.what in {What.RESOURCES, What.PACK}:
            rows = resource_rows(self._bills(export))
            if _is_pack(export):
                rows = tallies.of_resources(rows)
            yield _table("resources", RESOURCE_COLUMNS, export, rows, shower.resource)
        if export.what in {What.DETAILS, What.PACK}:
            rows = detail_rows(self._bills(export))
            if _is_pack(export):
                rows = tallies.of_details(rows)
            yield _table("details", DETAIL_COLUMNS, export, rows, shower.detail)

    def _focus(self, export: Export) -> Table:
        """The month in the columns of the FinOps specification."""
        account = read_account(self.dynamodb, self.table, export.account_id)
        if account is None:
            msg = f"{export.export_id} is of an account that does not exist"
            raise LookupError(msg)
        columns = chosen(FOCUS_COLUMNS, export.columns)
        places = [FOCUS_COLUMNS.index(column) for column in columns]
        rows = focus_rows(
            detail_rows(self._bills(export)),
            BillingAccount(account.account_id, account.name),
            self.catalog,
            stored(self.dynamodb, self.table, export.account_id),
        )
        return Table("focus", columns, ([row[place] for place in places] for row in rows))

    def _bills(self, export: Export) -> Iterator[Bill]:
        """The month's bills that there were when the export was asked for."""
        read = bills_by_charge if export.basis == "charge" else bills_by_usage
        for bill in read(self.dynamodb, self.table, export.account_id, export.month):
            if bill.version <= export.version:
                yield bill


def sheet_name(table: str, locale: str) -> str:
    """What the sheet of a table is called."""
    zh, en = _SHEETS[table]
    return en if locale == "en" else zh


def _is_pack(export: Export) -> bool:
    return export.what is What.PACK


def _table(
    name: str,
    columns: Sequence[Column],
    export: Export,
    rows: Iterable[Row],
    show: Callable[[Row], Mapping[str, Any]],
) -> Table:
    kept = chosen(columns, export.columns)
    names = [column.name for column in kept]

    def values() -> Iterator[Sequence[Value]]:
        for row in rows:
            shown = show(row)
            yield [shown[name] for name in names]

    return Table(name, kept, values())


def _pass_over(table: Table) -> int:
    """Read a table of which no column is wanted, for the summary alone."""
    for _ in table.rows:
        pass
    return 0


def _add(pack: zipfile.ZipFile, export: Export, table: Table) -> int:
    """Write a table as a file of the pack."""
    entry = zipfile.ZipInfo(f"{table.name}.csv", local(export.created_at).timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    with pack.open(entry, "w") as file:
        return write_csv(file, table, export.locale)
