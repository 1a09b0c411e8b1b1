"""Accounts in the ledger table: one item each, replaced only by whoever saw its last version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aws_platform import keys
from aws_platform.reading import Item, in_partition
from rating.account import Account, Application, Contact, Merchant, Stage, Violation
from rating.arrears import Arrears
from rating.funds import Funds
from rating.history import Interval, Switch

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings


def read_account(dynamodb: DynamoDBClient, table: str, account_id: str) -> Account | None:
    """The account as it is now; None where there is none."""
    key = {"pk": {"S": keys.ledger(account_id)}, "sk": {"S": keys.ACCOUNT}}
    answer = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)
    return account_from_item(answer["Item"]) if "Item" in answer else None


def read_account_with(
    dynamodb: DynamoDBClient, table: str, account_id: str, sort_keys: Sequence[str]
) -> tuple[Account | None, dict[str, Item]]:
    """The account and more of its items, by sort key, in one call; they need not be of the same moment."""
    if not sort_keys:
        return read_account(dynamodb, table, account_id), {}
    items = in_partition(dynamodb, table, keys.ledger(account_id), [keys.ACCOUNT, *sort_keys])
    found = items.pop(keys.ACCOUNT, None)
    return (account_from_item(found) if found else None), items


def account_put(settings: Settings, before: Account | None, after: Account) -> dict[str, Any]:
    """The transaction item that replaces `before`; it fails where somebody else has replaced it since.

    While its arrears have something to tell it is in the due-index. `after` must be the next version. Raises
    ValueError otherwise.
    """
    if after.version != (before.version if before else 0) + 1:
        msg = f"version {after.version} does not follow"
        raise ValueError(msg)
    item = account_to_item(after)
    due = after.arrears.next_due if after.arrears else None
    if due is not None:
        item |= keys.timer(after.account_id, due, keys.ACCOUNT, settings.due_shards)
    put: dict[str, Any] = {"TableName": settings.ledger_table, "Item": item}
    if before is None:
        put["ConditionExpression"] = "attribute_not_exists(pk)"
    else:
        put["ConditionExpression"] = "version = :seen"
        put["ExpressionAttributeValues"] = {":seen": {"N": str(before.version)}}
    return {"Put": put}


def account_to_item(account: Account) -> dict[str, Any]:
    """As stored."""
    body = {
        "name": account.name,
        "created_at": _text(account.created_at),
        "enterprise_verified": account.enterprise_verified,
        "contact": {
            "email": account.contact.email,
            "phone": account.contact.phone,
            "locale": account.contact.locale,
        },
        "stage": account.stage.value,
        "application": account.application
        and {
            "purpose": account.application.purpose,
            "license_reference": account.application.license_reference,
        },
        "rejection_reason": account.rejection_reason,
        "opened_at": _text(account.opened_at),
        "moved_here": account.moved_here,
        "postpaid": {
            "initial": account.postpaid.initial,
            "flips": [_text(flip) for flip in account.postpaid.flips],
        },
        "violation": account.violation
        and {"since": _text(account.violation.since), "reason": account.violation.reason},
        "stops": [[_text(stop.start), _text(stop.end)] for stop in account.stops],
        "releases": [_text(release) for release in account.releases],
        "funds": [str(account.funds.gift), str(account.funds.income_transfer), str(account.funds.cash)],
        "arrears": account.arrears
        and {
            "since": _text(account.arrears.since),
            "release_days": account.arrears.release_after.days,
            "stop_told": account.arrears.stop_told,
            "release_told": account.arrears.release_told,
        },
        "warned_on": account.warned_on and account.warned_on.isoformat(),
        "settled_through": account.settled_through and account.settled_through.isoformat(),
        "last_bill": account.last_bill,
        "merchants": [[merchant.merchant_id, _text(merchant.granted_at)] for merchant in account.merchants],
        "parts": dict(account.parts),
        "last_order": account.last_order and list(account.last_order),
        "moved_at": _text(account.moved_at),
    }
    return {
        "pk": {"S": keys.ledger(account.account_id)},
        "sk": {"S": keys.ACCOUNT},
        "version": {"N": str(account.version)},
        "body": {"S": json.dumps(body, ensure_ascii=False, separators=(",", ":"))},
    }


def account_from_item(item: Mapping[str, Any]) -> Account:
    """The reverse of `account_to_item`."""
    body = json.loads(item["body"]["S"])
    gift, income_transfer, cash = map(Decimal, body["funds"])
    violation, application = body["violation"], body["application"]
    return Account(
        account_id=item["pk"]["S"].removeprefix(keys.ledger("")),
        name=body["name"],
        created_at=datetime.fromisoformat(body["created_at"]),
        enterprise_verified=body["enterprise_verified"],
        contact=Contact(**body["contact"]),
        stage=Stage(body["stage"]),
        application=application and Application(**application),
        rejection_reason=body["rejection_reason"],
        opened_at=_instant(body["opened_at"]),
        moved_here=body["moved_here"],
        postpaid=Switch(body["postpaid"]["initial"], tuple(map(datetime.fromisoformat, body["postpaid"]["flips"]))),
        violation=violation and Violation(datetime.fromisoformat(violation["since"]), violation["reason"]),
        stops=tuple(Interval(datetime.fromisoformat(start), _instant(end)) for start, end in body["stops"]),
        releases=tuple(map(datetime.fromisoformat, body["releases"])),
        funds=Funds(gift, income_transfer, cash),
        arrears=body["arrears"] and _arrears(**body["arrears"]),
        warned_on=body["warned_on"] and date.fromisoformat(body["warned_on"]),
        settled_through=body["settled_through"] and date.fromisoformat(body["settled_through"]),
        last_bill=body["last_bill"],
        merchants=tuple(Merchant(one, datetime.fromisoformat(granted)) for one, granted in body["merchants"]),
        parts=body["parts"],
        last_order=body["last_order"] and tuple(body["last_order"]),
        moved_at=_instant(body["moved_at"]),
        version=int(item["version"]["N"]),
    )


def _arrears(since: str, release_days: int, stop_told: bool, release_told: bool) -> Arrears:  # noqa: FBT001 - a JSON object's names
    return Arrears(datetime.fromisoformat(since), timedelta(days=release_days), stop_told, release_told)


def _text(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
