"""What the adapter tests do again and again."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import ReadTimeoutError
from moto.dynamodb.models import dynamodb_backends

from aws_platform import clients, keys
from aws_platform.accounts import read_account
from aws_platform.reading import in_partition
from aws_platform.snapshot import Snapshot, snapshot_of
from ingest import handler as ingest_handler
from ingest.handler import Meter
from tests.support.product import BATCH, PRODUCER, TABLES, Product, Reply

NOW = "2025-03-01T10:00:00+08:00"
A = "/v1/accounts/acct-1"
SINGLE = "application/cloudevents+json"
COUNTS = ("accepted", "duplicate", "conflict", "not_chargeable", "rejected")


def empty(product: Product) -> None:
    """Empty tables and queues, a cold process, and the clock at the beginning."""
    for backend in dynamodb_backends["123456789012"].values():
        for table in backend.tables.values():
            table.items.clear()
    product.archive.empty()
    for queue in ("SETTLEMENT_QUEUE_URL", "USAGE_DEAD_LETTER_QUEUE_URL", "VERIFICATION_QUEUE_URL", "WEBHOOK_QUEUE_URL"):
        # Under another name each time: a queue is neither emptied nor made again within a minute.
        os.environ[queue] = product.sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    new_process()
    product.now = at(NOW)


def prepared(product: Product, known: dict[str, list[Any]], name: str, prepare: Callable[[], None]) -> None:
    """Prepare accounts; from the second time on by putting back what the first time left in the ledger."""
    if name not in known:
        prepare()
        known[name] = product.dynamodb.scan(TableName="ledger")["Items"]
        return
    for item in known[name]:
        product.dynamodb.put_item(TableName="ledger", Item=item)


def tables(product: Product) -> dict[str, list[str]]:
    """Everything in all tables, as comparable text: read behind the API, for it is read very often."""
    assert product.dynamodb.meta.region_name in dynamodb_backends["123456789012"]
    found = dynamodb_backends["123456789012"][product.dynamodb.meta.region_name].tables
    return {
        name: sorted(
            json.dumps(item.to_json()["Attributes"], default=str, sort_keys=True) for item in found[name].all_items()
        )
        for name in TABLES.values()
    }


def stored(product: Product) -> list[str]:
    """The usage table without the dictionaries of names, which a conflicting event may extend."""
    return [item for item in tables(product)["usage"] if '"S": "names"' not in item]


def outcome(reply: Reply) -> dict[str, int]:
    """The counts of a report that are not zero."""
    assert reply.status == 200, reply.text
    return outcome_of(reply.body)


def outcome_of(body: Mapping[str, Any]) -> dict[str, int]:
    """The same, of a body."""
    assert set(body) == {*COUNTS, "errors"}
    return {name: body[name] for name in COUNTS if body[name]}


def refusals(reply: Reply) -> list[tuple[int, str]]:
    """(index, code) of each error of a report."""
    assert reply.status == 200, reply.text
    for error in reply.body["errors"]:
        assert set(error) == {"index", "id", "code", "detail"}
        assert error["detail"]
    return [(error["index"], error["code"]) for error in reply.body["errors"]]


def post_usage(product: Product, body: Any, content_type: str = BATCH) -> Reply:
    """Usage over HTTP, without the stream."""
    return product.request("POST", "/v1/usage", body, PRODUCER, headers={"content-type": content_type})


def queue_usage(product: Product, *bodies: str) -> list[str]:
    """Usage through the queue, one batch a message; the ids of the messages that stay on it."""
    records = [{"messageId": f"m-{number}", "body": body} for number, body in enumerate(bodies)]
    answer = product.invoke("IngestFunction", {"Records": records})
    product.stream()
    assert set(answer) == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def dead_letters(product: Product) -> list[tuple[str, str]]:
    """(body, codes) of what lies in the dead-letter queue of usage."""
    url = os.environ["USAGE_DEAD_LETTER_QUEUE_URL"]
    answer = product.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    return [(one["Body"], one["MessageAttributes"]["codes"]["StringValue"]) for one in answer.get("Messages", [])]


def new_process() -> None:
    """Forget what the metering process remembers, as a cold start does."""
    ingest_handler.meter.cache_clear()


def later(product: Product, **by: float) -> str:
    """The present instant and something, as text."""
    return (product.now + timedelta(**by)).isoformat()


def at(text: str) -> datetime:
    """An instant."""
    return datetime.fromisoformat(text)


def rows(product: Product, path: str, **query: str) -> list[dict[str, Any]]:
    """The items of a list, of all its pages."""
    return [item for page in pages(product, path, 1000, **query) for item in page]


def usage(product: Product, **query: str) -> list[dict[str, Any]]:
    """The rows of `GET A/usage` of the usual account."""
    return rows(product, f"{A}/usage", **query)


def calls(product: Product, **query: str) -> tuple[int, int]:
    """(calls, not chargeable) over all rows of the usual account."""
    found = usage(product, **query)
    return sum(row["calls"] for row in found), sum(row["not_chargeable"] for row in found)


def pages(product: Product, path: str, limit: int, **query: str) -> list[list[dict[str, Any]]]:
    """All pages of a list, by its cursors."""
    found: list[list[dict[str, Any]]] = []
    cursor: dict[str, str] = {}
    while len(found) < 1000:
        reply = product.get(path, limit=str(limit), **query, **cursor)
        assert reply.status == 200, reply.text
        assert reply.body["items"] or not found, "a cursor leads to something"
        found.append(reply.body["items"])
        if reply.body["next_cursor"] is None:
            return found
        cursor = {"cursor": reply.body["next_cursor"]}
    message = "the pages do not end"
    raise AssertionError(message)


def total(items: Sequence[Mapping[str, Any]], field: str) -> Decimal:
    """The sum of a money field."""
    return sum((Decimal(item[field]) for item in items), Decimal(0))


def balance(product: Product, account_id: str = "acct-1") -> dict[str, str]:
    """The account's funds."""
    found: dict[str, str] = product.get(f"/v1/accounts/{account_id}").body["balance"]
    return found


def process() -> Meter:
    """Another process that meters: it remembers for itself what it has seen."""
    made: Meter = ingest_handler.meter.__wrapped__()
    return made


def report_from(product: Product, meter: Meter, events: Sequence[Mapping[str, Any]]) -> Reply:
    """Usage over HTTP, taken by one of several processes; without the stream."""
    with mock.patch.object(ingest_handler, "meter", return_value=meter):
        return post_usage(product, list(events))


def details(product: Product, month: str = "2025-03", **query: str) -> list[dict[str, Any]]:
    """Every fee of a month."""
    return rows(product, f"{A}/bills/details", month=month, **query)


def resources(product: Product, month: str = "2025-03", **query: str) -> list[dict[str, Any]]:
    """Every charge of a month."""
    return rows(product, f"{A}/bills/resources", month=month, **query)


def charges(product: Product) -> list[tuple[str, str]]:
    """(time, amount) of every charge in the journal."""
    entries = rows(product, f"{A}/journal")
    return [(entry["occurred_at"], entry["amount"]) for entry in entries if entry["kind"] == "settlement"]


def kept(product: Product, account_id: str = "acct-1") -> Snapshot:
    """The account with all its parts, as stored."""
    account = read_account(product.dynamodb, "ledger", account_id)
    assert account is not None
    items = in_partition(product.dynamodb, "ledger", keys.ledger(account_id), account.parts)
    return snapshot_of(account, items.values())


def lose_answer(patch: pytest.MonkeyPatch) -> None:
    """The next transaction happens, and its answer gets lost."""
    client = clients.dynamodb()
    transact = client.transact_write_items

    def lost(**request: Any) -> Any:
        patch.setattr(client, "transact_write_items", transact)
        transact(**request)
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    patch.setattr(client, "transact_write_items", lost)


def meanwhile(patch: pytest.MonkeyPatch, others: Callable[[], Any]) -> None:
    """Others do something between the reads of the next request and its transaction."""
    client = clients.dynamodb()
    transact = client.transact_write_items

    def second(**request: Any) -> Any:
        patch.setattr(client, "transact_write_items", transact)
        others()
        return transact(**request)

    patch.setattr(client, "transact_write_items", second)
