"""The summary of a pack: what its tables come to, and that details, resources and journal say the same (D15)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from aws_platform.bill_rows import Row, Tally
from aws_platform.exports import Export
from exports.tables import Column, Kind, Table, Value
from rating import money
from rating.catalog import Catalog
from rating.civil import rfc3339
from rating.funds import Fund
from rating.reconciliation import MonthBalance

SUMMARY_COLUMNS = (
    Column("section", "分类", "Section"),
    Column("item", "项目", "Item"),
    Column("value", "内容", "Value"),
    Column("rows", "行数", "Rows", Kind.COUNT),
    Column("original_cost", "原价", "Original cost", Kind.PRICE),
    Column("total_cost", "优惠后总价", "Total cost", Kind.PRICE),
    Column("voucher", "代金券支出", "Paid by voucher", Kind.YUAN),
    Column("gift", "赠送账户支出", "Paid from gift", Kind.YUAN),
    Column("income_transfer", "收益转入支出", "Paid from income transfer", Kind.YUAN),
    Column("cash", "现金账户支出", "Paid from cash", Kind.YUAN),
)
_ZH = {
    "export": "导出",
    "account": "账号",
    "month": "账单月份",
    "basis": "统计口径",
    "usage": "按计费周期（用量日期）",
    "charge": "按扣费周期（扣费日期）",
    "as_of": "数据截至",
    "tables": "账单",
    "resources": "资源账单",
    "details": "明细账单",
    "by_tag": "按计费标签（资源账单）",
    "no_tag": "无标签",
    "by_mode": "按计费模式（资源账单）",
    "prepaid": "预付费",
    "postpaid": "后付费",
    "identity": "核对（按扣费周期）",
    "details_sum": "明细合计",
    "precision": "月度计费精度差异",
    "details_precision": "明细合计 + 月度计费精度差异",
    "resources_sum": "资源合计",
    "journal": "收支明细扣费",
    "agrees": "是否一致",
    "yes": "一致",
    "no": "不一致",
}
_EN = {
    "export": "Export",
    "account": "Account",
    "month": "Month",
    "basis": "Basis",
    "usage": "by date of the usage",
    "charge": "by date of the charge",
    "as_of": "As of",
    "tables": "Tables",
    "resources": "Resources",
    "details": "Details",
    "by_tag": "By billing tag (resources)",
    "no_tag": "no tag",
    "by_mode": "By billing mode (resources)",
    "prepaid": "prepaid",
    "postpaid": "postpaid",
    "identity": "Check (by date of the charge)",
    "details_sum": "Sum of details",
    "precision": "Monthly precision difference",
    "details_precision": "Details + precision difference",
    "resources_sum": "Sum of resources",
    "journal": "Journal",
    "agrees": "Agree",
    "yes": "yes",
    "no": "no",
}


def texts(locale: str) -> Mapping[str, str]:
    """Our own words in a language."""
    return _EN if locale == "en" else _ZH


@dataclass(slots=True)
class Tallies:
    """Sums of the tables of a pack, made while these are written: no row is read twice for them."""

    resources: Tally = field(default_factory=Tally)
    details: Tally = field(default_factory=Tally)
    by_tag: dict[str, Tally] = field(default_factory=dict)
    by_mode: dict[str, Tally] = field(default_factory=dict)

    def of_resources(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows, counted as they pass."""
        for row in rows:
            self.resources.add(row)
            self.by_tag.setdefault(row.tag or "", Tally()).add(row)
            self.by_mode.setdefault(row.mode, Tally()).add(row)
            yield row

    def of_details(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows, counted as they pass."""
        for row in rows:
            self.details.add(row)
            yield row


def summary(export: Export, tallies: Tallies, balance: MonthBalance, catalog: Catalog) -> Table:
    """The summary of a pack whose other tables are written."""
    return Table("summary", SUMMARY_COLUMNS, _rows(export, tallies, balance, catalog))


def _cells(tally: Tally) -> tuple[Value, ...]:
    """The last columns of a row of the summary."""
    return tally.rows, tally.original_cost, tally.total_cost, *(tally.payment[fund] for fund in Fund)


def _rows(export: Export, tallies: Tallies, balance: MonthBalance, catalog: Catalog) -> Iterator[Sequence[Value]]:
    say = texts(export.locale)

    def fact(section: str, item: str, value: str) -> Sequence[Value]:
        return (say[section], say[item], value, *(None for _ in SUMMARY_COLUMNS[3:]))

    def amount(item: str, value: Decimal) -> Sequence[Value]:
        return say["identity"], say[item], None, None, None, value, *(None for _ in Fund)

    yield fact("export", "account", export.account_id)
    yield fact("export", "month", export.month)
    yield fact("export", "basis", say[export.basis])
    yield fact("export", "as_of", rfc3339(export.created_at))
    yield say["tables"], say["resources"], None, *_cells(tallies.resources)
    yield say["tables"], say["details"], None, *_cells(tallies.details)
    for tag in sorted(tallies.by_tag):
        name = catalog.tag(tag).name if tag else say["no_tag"]
        yield say["by_tag"], tag or None, name, *_cells(tallies.by_tag[tag])
    for mode in sorted(tallies.by_mode):
        yield say["by_mode"], say[mode], None, *_cells(tallies.by_mode[mode])
    yield amount("details_sum", balance.details)
    yield amount("precision", balance.precision or money.ZERO)
    yield amount("details_precision", balance.details_and_row)
    yield amount("resources_sum", balance.resources)
    yield amount("journal", balance.journal)
    yield fact("identity", "agrees", say["yes" if balance.agrees else "no"])
