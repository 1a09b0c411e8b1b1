"""Bills in the ledger table: one item each, as compressed JSON, found by charge month or by usage month."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aws_platform import keys
from aws_platform.ledger import OutdatedError, query_all
from rating.allocation import Source
from rating.bill import Bill, BilledCharge, BilledLine, CountedSegment, Deduction, Resource, TransactionType
from rating.billing import Line, Quantities
from rating.civil import first_day, last_day, month_of, next_month, rfc3339
from rating.funds import Fund
from rating.pricing import AppliedPrice

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.account import Account

USAGE_INDEX = "ByUsage"


class LastBillMissingError(OutdatedError):
    """The account's last bill is not visible yet. Where it never will be, `known` are the bills that there are."""

    def __init__(self, known: Sequence[Bill]) -> None:
        super().__init__()
        self.known = known


def bill_put(table: str, account_id: str, bill: Bill) -> dict[str, Any]:
    """The transaction item that issues a bill; it fails where the bill exists."""
    return {
        "Put": {
            "TableName": table,
            "Item": bill_to_item(account_id, bill),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }


def month_update(table: str, account_id: str, shard: str, bill: Bill) -> dict[str, Any]:
    """The transaction item that adds a bill to its charge month, and has that month closed on the next 1st (D15)."""
    month = bill.charge_month
    closes_on = first_day(next_month(month))
    return {
        "Update": {
            "TableName": table,
            "Key": {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": keys.month_item(month)}},
            "UpdateExpression": "ADD details :details, deducted :deducted SET due_pk = :pk, due_sk = :sk",
            "ConditionExpression": "attribute_not_exists(closed)",
            "ExpressionAttributeValues": {
                ":details": {"N": number(bill.details)},
                ":deducted": {"N": number(bill.amount)},
                ":pk": {"S": shard},
                ":sk": {"S": keys.due_sort_key(closes_on, account_id, keys.month_item(month))},
            },
        }
    }


def number(amount: Decimal) -> str:
    """An amount as the table keeps it: no idle zeros, no exponent."""
    return format(amount.normalize(), "f")


def bills_by_charge(dynamodb: DynamoDBClient, table: str, account_id: str, month: str) -> Iterator[Bill]:
    """The bills of a month by date of the charge, oldest first."""
    return _bills(dynamodb, table, account_id, "sk", f"{keys.BILL_PREFIX}{month}#", None)


def all_bills(dynamodb: DynamoDBClient, table: str, account_id: str) -> Iterator[Bill]:
    """All bills of an account, by month of the charge, oldest first."""
    return _bills(dynamodb, table, account_id, "sk", keys.BILL_PREFIX, None)


def bills_by_usage(dynamodb: DynamoDBClient, table: str, account_id: str, month: str) -> Iterator[Bill]:
    """The bills of a month by date of the usage, oldest usage first."""
    return _bills(dynamodb, table, account_id, "usage_sk", f"{month}#", USAGE_INDEX)


def bills_of_day(dynamodb: DynamoDBClient, table: str, account_id: str, day: date) -> Iterator[Bill]:
    """The bills of one usage day of a daily account, oldest first."""
    prefix = f"{month_of(day)}#{day.isoformat()}#"
    return _bills(dynamodb, table, account_id, "usage_sk", prefix, USAGE_INDEX)


def _bills(
    dynamodb: DynamoDBClient, table: str, account_id: str, sort_key: str, prefix: str, index: str | None
) -> Iterator[Bill]:
    query: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": f"pk = :pk AND begins_with({sort_key}, :prefix)",
        "ExpressionAttributeValues": {":pk": {"S": keys.ledger(account_id)}, ":prefix": {"S": prefix}},
        "ProjectionExpression": "bill",
        "ConsistentRead": True,
    }
    if index:
        query["IndexName"] = index
    for item in query_all(dynamodb, **query):
        yield bill_from_item(item)


def bills_of_months(dynamodb: DynamoDBClient, table: str, account: Account, first: date, last: date) -> Iterator[Bill]:
    """The bills of the usage months from the first day's to the last one's, if the account knows them all.

    Raises OutdatedError where they are not the bills that this version of the account knows: read again.
    """
    month = month_of(first)
    while month <= month_of(last):
        found = bills_by_usage(dynamodb, table, account.account_id, month)
        yield from as_of(account, found, month.replace("-", ""))
        month = next_month(month)


def as_of(account: Account, found: Iterable[Bill], prefix: str) -> list[Bill]:
    """The bills of a usage day or month, if they are those that this version of the account knows.

    `prefix` is what the ids of its settlements begin with. Raises OutdatedError for a bill that is newer than the
    account, and where the account's last one is not visible yet: read again.
    """
    known = list(found)
    if any(bill.counted and bill.version > account.version for bill in known):
        raise OutdatedError
    own = account.last_bill is not None and account.last_bill.startswith(prefix)
    if own and account.last_bill not in {bill.bill_id for bill in known}:
        # The items of one transaction become visible one by one: the account was there a moment before its bill.
        raise LastBillMissingError(known)
    return known


def bill_to_item(account_id: str, bill: Bill) -> dict[str, Any]:
    """As stored. Compressed, for a month of many tags, switches and packages would not fit into an item otherwise."""
    charged_at = rfc3339(bill.charged_at)
    usage = bill.first_day.isoformat()
    return {
        "pk": {"S": keys.ledger(account_id)},
        "sk": {"S": keys.bill(bill.charge_month, charged_at, bill.bill_id)},
        "usage_sk": {"S": keys.bill_by_usage(bill.usage_month, usage, f"{charged_at}#{bill.bill_id}")},
        "bill": {"B": zlib.compress(bill_to_text(bill).encode())},
    }


def bill_from_item(item: Mapping[str, Any]) -> Bill:
    """The bill of a stored item."""
    return bill_from_text(zlib.decompress(item["bill"]["B"]).decode())


def bill_to_text(bill: Bill) -> str:
    """The bill as compact JSON."""
    document = {
        "id": bill.bill_id,
        "version": bill.version,
        "type": bill.transaction_type.value,
        "charged_at": rfc3339(bill.charged_at),
        "month": bill.charge_month,
        "days": [bill.first_day.isoformat(), bill.last_day.isoformat()],
        "charges": [_charge_document(charge) for charge in bill.charges],
        "counted": [_segment_document(segment) for segment in bill.counted],
        "precision": str(bill.precision_difference),
        "order": bill.order_id,
        "voucher": bill.voucher_id,
        "reason": bill.reason,
        "corrects": bill.corrects,
    }
    return json.dumps(document, separators=(",", ":"))


def bill_from_text(text: str) -> Bill:
    """The reverse of `bill_to_text`."""
    document = json.loads(text)
    first, last = document["days"]
    return Bill(
        bill_id=document["id"],
        version=document["version"],
        transaction_type=TransactionType(document["type"]),
        charged_at=datetime.fromisoformat(document["charged_at"]),
        charge_month=document["month"],
        first_day=date.fromisoformat(first),
        last_day=date.fromisoformat(last),
        charges=tuple(_charge(charge) for charge in document["charges"]),
        counted=tuple(_segment(segment) for segment in document["counted"]),
        precision_difference=Decimal(document["precision"]),
        order_id=document["order"],
        voucher_id=document["voucher"],
        reason=document["reason"],
        corrects=document["corrects"],
    )


def precision_bill(month: str, version: int, deducted: Decimal, details: Decimal, now: datetime) -> Bill:
    """The row that closes a month: what was deducted less the sum of its details. It moves no money (D15)."""
    return Bill(
        bill_id=f"precision-{month.replace('-', '')}",
        version=version,
        transaction_type=TransactionType.PRECISION_DIFFERENCE,
        charged_at=now,
        charge_month=month,
        first_day=first_day(month),
        last_day=last_day(month),
        charges=(),
        precision_difference=deducted - details,
    )


def _charge_document(charge: BilledCharge) -> dict[str, Any]:
    return {
        "tag": charge.tag,
        "amount": str(charge.amount),
        "payment": _payment_document(charge.payment),
        "lines": [_line_document(line) for line in charge.lines],
        "resource": charge.resource
        and [
            charge.resource.resource_id,
            charge.resource.calls,
            rfc3339(charge.resource.starts_at),
            rfc3339(charge.resource.ends_at),
        ],
    }


def _segment_document(segment: CountedSegment) -> list[Any]:
    return [
        rfc3339(segment.start),
        rfc3339(segment.end),
        dict(segment.calls),
        [[one.package_id, one.tag, one.source.value, one.calls] for one in segment.deductions],
        segment.postpaid,
    ]


def _segment(document: list[Any]) -> CountedSegment:
    start, end, calls, deductions, postpaid = document
    return CountedSegment(
        datetime.fromisoformat(start),
        datetime.fromisoformat(end),
        calls,
        tuple(Deduction(package_id, tag, Source(source), given) for package_id, tag, source, given in deductions),
        postpaid,
    )


def _line_document(billed: BilledLine) -> list[Any]:
    line = billed.line
    quantities, price = line.quantities, line.price
    return [
        line.first_day.isoformat(),
        line.last_day.isoformat(),
        [quantities.raw, quantities.free, quantities.paid, quantities.postpaid, quantities.uncovered],
        [
            str(price.unit_price),
            None if price.list_price is None else str(price.list_price),
            None if price.discount_rate is None else str(price.discount_rate),
            price.tier_from_calls,
        ],
        _payment_document(billed.payment),
    ]


def _payment_document(payment: Mapping[Fund, Decimal]) -> dict[str, str]:
    return {fund.value: str(amount) for fund, amount in payment.items()}


def _charge(document: Mapping[str, Any]) -> BilledCharge:
    tag, resource = document["tag"], document["resource"]
    return BilledCharge(
        tag,
        Decimal(document["amount"]),
        _payment(document["payment"]),
        tuple(_line(tag, line) for line in document["lines"]),
        resource and _resource(*resource),
    )


def _resource(resource_id: str, calls: int, starts_at: str, ends_at: str) -> Resource:
    return Resource(resource_id, calls, datetime.fromisoformat(starts_at), datetime.fromisoformat(ends_at))


def _line(tag: str, document: list[Any]) -> BilledLine:
    first, last, quantities, (unit_price, list_price, discount_rate, tier), payment = document
    price = AppliedPrice(
        Decimal(unit_price),
        None if list_price is None else Decimal(list_price),
        None if discount_rate is None else Decimal(discount_rate),
        tier,
    )
    line = Line(tag, date.fromisoformat(first), date.fromisoformat(last), Quantities(*quantities), price)
    return BilledLine(line, _payment(payment))


def _payment(document: Mapping[str, str]) -> dict[Fund, Decimal]:
    return {Fund(fund): Decimal(amount) for fund, amount in document.items()}
