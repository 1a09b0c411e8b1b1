"""What the verification holds against a bill: packages, the bills that took from them, and pages of the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aws_platform import bills, keys
from aws_platform.ledger import query_all
from aws_platform.orders import ended_from_item, order_from_item
from aws_platform.reading import in_partition
from aws_platform.snapshot import Snapshot
from rating.bill import Bill
from rating.civil import day_of, month_of, rfc3339, start_of
from rating.funds import Fund, Movement
from rating.orders import PackageRecord
from rating.verification import Held
from rating.verified_money import Page
from rating.wallet import release_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.account import Account

_LONGEST_LIFE = timedelta(days=367)
"""No package serves longer than a year and its first day."""

type Kept = Mapping[str, tuple[int, int]]
"""(calls, calls used) of packages, by id, as wallets and what they left behind say."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Reads the ledger."""

    dynamodb: DynamoDBClient
    table: str

    def packages(self, account: Account, wanted: Sequence[Bill]) -> list[Held]:
        """The packages that can have given calls to these bills, or can have cut their days."""
        if account.last_order is None:
            return []
        first, last = min(bill.first_day for bill in wanted), max(bill.last_day for bill in wanted)
        charged = max(day_of(bill.charged_at) for bill in wanted)
        tags = {tag for bill in wanted for part in bill.counted for tag in part.calls}
        tags |= {one.tag for bill in wanted for part in bill.counted for one in part.deductions}
        releases = account.conditions().releases
        found = []
        for record in self._records(account.account_id, first - _LONGEST_LIFE, charged):
            released = release_of(record.delivered_at, releases)
            ends = {record.ends_at} if released is None else {record.ends_at, released}
            serves = day_of(record.delivered_at) <= last and first <= day_of(record.ends_at)
            if serves and (record.tag in tags or any(first <= day_of(end) <= last for end in ends)):
                found.append(_held(record))
        return found

    def _records(self, account_id: str, first: date, last: date) -> Iterator[PackageRecord]:
        """The packages of the orders and grants of some days."""
        for prefix in (f"{keys.ORDER_PREFIX}order-", f"{keys.GRANT_PREFIX}grant-"):
            for item in self._between(account_id, f"{prefix}{first:%Y%m%d}", f"{prefix}{last:%Y%m%d}~"):
                yield from order_from_item(item).packages

    def bills_since(self, account_id: str, day: date) -> list[Bill]:
        """Every bill that was charged on the day or later."""
        first = keys.bill(month_of(day), rfc3339(start_of(day)), "")
        found = map(bills.bill_from_item, self._between(account_id, first, f"{keys.BILL_PREFIX}~"))
        return [bill for bill in found if bill.counted]

    def _between(self, account_id: str, first: str, last: str) -> Iterable[Mapping[str, Any]]:
        return query_all(
            self.dynamodb,
            TableName=self.table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": keys.ledger(account_id)},
                ":first": {"S": first},
                ":last": {"S": last},
            },
            ConsistentRead=True,
        )

    def kept_and_pages(
        self, snapshot: Snapshot, packages: Sequence[Held], wanted: Sequence[Bill]
    ) -> tuple[Kept, Mapping[int, Page]]:
        """(calls, calls used) of the packages that are kept, and the bills' pages of the journal by version."""
        stocked = {one.package_id: one for wallet in snapshot.wallets.values() for one in wallet.packages}
        pages = {keys.journal(rfc3339(bill.charged_at), bill.version): bill.version for bill in wanted}
        ended = {f"{keys.ENDED_PREFIX}{one.package_id}": one for one in packages if one.package_id not in stocked}
        partition = keys.ledger(snapshot.account.account_id)
        items = in_partition(self.dynamodb, self.table, partition, [*pages, *ended])
        kept = {
            one.package_id: (one.calls, ended_from_item(items[key])[1]) for key, one in ended.items() if key in items
        }
        kept |= {package_id: (one.total, one.used) for package_id, one in stocked.items()}
        return kept, {version: _page(items[key]) for key, version in pages.items() if key in items}


def _held(record: PackageRecord) -> Held:
    return Held(
        record.package_id,
        record.tag,
        record.source,
        record.calls,
        record.delivered_at,
        record.ends_at,
        _version_of(record.package_id),
        _version_of(record.refund_id) if record.refund_id is not None else None,
    )


def _version_of(made_id: str) -> int:
    """The account's version in the id of a package or a refund: they begin with a kind and a stamp."""
    return int(made_id.split("-")[2])


def _page(item: Mapping[str, Any]) -> Page:
    page = json.loads(item["page"]["S"])
    movements = [Movement(Fund(fund), Decimal(amount), Decimal(after)) for fund, amount, after in page["entries"]]
    return Page(page["kind"], page["reference"], movements)
