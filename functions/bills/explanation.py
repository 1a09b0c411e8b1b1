"""How a line of a bill came to be, step by step, for whoever checks it (contract, Bills)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_platform import keys, problems
from aws_platform.archive import calls_query
from aws_platform.bill_rows import Row, Shower
from aws_platform.bills import bills_by_charge, bills_by_usage, bills_of_day
from aws_platform.ledger import up_to_date, with_prefix
from aws_platform.orders import order_from_item, order_key, package_key, refund_from_item
from aws_platform.price_book import read_catalog
from aws_platform.reading import in_partition
from aws_platform.snapshot import read_snapshot
from aws_platform.transactions import corrections_of, find_line
from bills.explained_charges import (
    adjustment_step,
    corrections_step,
    cost_step,
    month_step,
    package_of,
    package_step,
    payment_step,
    refund_step,
    rounding_step,
)
from bills.explained_usage import UsageFacts, packages_step, price_step, usage_step
from bills.explanation_models import Step
from bills.wording import say
from rating.bill import Bill, BilledCharge, BilledLine, TransactionType
from rating.civil import day_of, end_of, month_of, rfc3339, start_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.reading import Item
    from aws_platform.settings import Settings
    from rating.account import Account
    from rating.billing import Line
    from rating.catalog import Catalog
    from rating.orders import PackageRecord


def explain(
    dynamodb: DynamoDBClient, settings: Settings, account: Account, transaction_id: str, locale: str
) -> dict[str, Any]:
    """The explanation of a line in a language. Raises Problem 404 `transaction_not_found`."""
    table, account_id = settings.ledger_table, account.account_id
    row = find_line(dynamodb, table, account_id, transaction_id)
    if row is None:
        raise problems.not_found("transaction")
    explainer = _Explainer(dynamodb, settings, account, read_catalog(dynamodb, table))
    steps = [*explainer.steps(row), corrections_step(corrections_of(dynamodb, table, account_id, transaction_id))]
    bill = row.bill
    return {
        "transaction_id": transaction_id,
        "bill_id": bill.bill_id,
        "transaction_type": bill.transaction_type.value,
        "tag": row.tag,
        "charged_at": rfc3339(bill.charged_at),
        "locale": locale,
        "steps": [{"step": step["step"], "text": say(step, locale), **step} for step in steps],
        "calls_query": explainer.calls_query(row),
    }


@dataclass(frozen=True, slots=True)
class _Explainer:
    """Reads what the steps of a line depend on."""

    dynamodb: DynamoDBClient
    settings: Settings
    account: Account
    catalog: Catalog

    @property
    def _table(self) -> str:
        return self.settings.ledger_table

    def steps(self, row: Row) -> list[Step]:
        """What there is to say of the line."""
        bill, charge, fee = row.bill, row.charge, row.fee
        if charge is None or fee is None:
            charged = bills_by_charge(self.dynamodb, self._table, self.account.account_id, bill.charge_month)
            return [month_step(bill, charged, self.catalog)]
        return [
            *self._first_steps(bill, charge, fee),
            cost_step(fee),
            rounding_step(row, charge, Shower(self.account.account_id, self.catalog)),
            payment_step(bill, charge, fee),
        ]

    def calls_query(self, row: Row) -> dict[str, str] | None:
        """The query for the calls behind a line of usage."""
        if row.fee is None or not row.bill.counted:
            return None
        line, database = row.fee.line, self.settings.archive_database
        sql = calls_query(database, self.account.account_id, line.first_day, line.last_day, line.tag, charged=True)
        return {"database": database, "sql": sql}

    def _first_steps(self, bill: Bill, charge: BilledCharge, fee: BilledLine) -> list[Step]:
        match bill.transaction_type:
            case TransactionType.PREPAY_PURCHASE:
                order = order_from_item(self._item(order_key(str(bill.order_id))))
                return [package_step(order, package_of(order, charge), fee, self.catalog)]
            case TransactionType.PREPAY_REFUND:
                refund = refund_from_item(self._item(f"{keys.REFUND_PREFIX}{bill.bill_id}"))
                return [refund_step(refund, self.catalog)]
            case TransactionType.ADJUSTMENT:
                return [adjustment_step(bill)]
            case _:
                facts = self._usage_facts(bill, fee.line)
                return [usage_step(facts), packages_step(facts), price_step(facts)]

    def _usage_facts(self, bill: Bill, line: Line) -> UsageFacts:
        snapshot = up_to_date(lambda: read_snapshot(self.dynamodb, self._table, self.account.account_id))
        if snapshot is None:
            raise problems.not_found("account")
        cut = any(
            one.start != start_of(day_of(one.start)) or one.end != end_of(day_of(one.start)) for one in bill.counted
        )
        return UsageFacts(
            bill,
            line,
            self._period(bill),
            self._packages(one.package_id for part in bill.counted for one in part.deductions if one.tag == line.tag),
            self._gifts() if cut else (),
            snapshot.account.conditions(),
            snapshot.terms,
            self.catalog,
        )

    def _period(self, bill: Bill) -> list[Bill]:
        """The bills of the same usage, which do not all know each other: a later one may be new.

        That of the line itself is unpacked here a second time: a day has few bills, and finding a line by its id
        stays apart from what is explained of it.
        """
        account_id = self.account.account_id
        if bill.first_day == bill.last_day:
            found = bills_of_day(self.dynamodb, self._table, account_id, bill.first_day)
        else:
            found = bills_by_usage(self.dynamodb, self._table, account_id, month_of(bill.first_day))
        return sorted(
            (one for one in found if one.transaction_type is bill.transaction_type), key=lambda one: one.version
        )

    def _packages(self, package_ids: Iterable[str]) -> dict[str, PackageRecord]:
        """The records of packages, by id."""
        places = {place for one in package_ids if (place := package_key(one)) is not None}
        if not places:
            return {}
        items = in_partition(self.dynamodb, self._table, keys.ledger(self.account.account_id), sorted(places))
        return {one.package_id: one for item in items.values() for one in order_from_item(item).packages}

    def _gifts(self) -> list[PackageRecord]:
        items = with_prefix(self.dynamodb, self._table, self.account.account_id, keys.GRANT_PREFIX)
        return [one for item in items for one in order_from_item(item).packages]

    def _item(self, sort_key: str) -> Item:
        """An item that the bill's own transaction wrote. Raises KeyError where there is none."""
        return in_partition(self.dynamodb, self._table, keys.ledger(self.account.account_id), [sort_key])[sort_key]
