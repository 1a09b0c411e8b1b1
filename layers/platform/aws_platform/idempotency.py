"""Requests with a key: the first answer is kept for good, in the transaction of its effect (contract, Conventions)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Header

from aws_platform import clients, failures, keys, problems
from aws_platform.accounts import read_account_with
from aws_platform.api import Answer, Call
from aws_platform.edge import strict_json
from aws_platform.ledger import OutdatedError, transact
from aws_platform.problems import FieldError, Problem
from aws_platform.reading import Item, in_partition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.account import Account

_MAX_KEY_CHARACTERS = 255
_NO_HEADER = re.compile("[\x00\r\n\ud800-\udfff]")
"""What no header of HTTP can hold."""
_HEADER = "idempotency-key"
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="1 to 255 characters; the request takes effect once per key"),
]
"""The header, for the OpenAPI document; `once` reads and checks it."""
REPLAYED = {"Idempotent-Replayed": "true"}


@dataclass(frozen=True, slots=True)
class Effect:
    """What a request does: the transaction's items, and the answer once they are written."""

    items: Sequence[Mapping[str, Any]]
    answer: Answer


def record_key(event: Mapping[str, Any]) -> str:
    """Sort key of the record of a request with a key. Raises Problem 400 `idempotency_key_missing`."""
    digest = hashlib.sha256(_key(event).encode()).hexdigest()
    return keys.idempotency(str(event["routeKey"]), digest)


def record_keys(event: Mapping[str, Any]) -> list[str]:
    """The record's sort key, to be read with the account; none where the request will be refused for its key."""
    try:
        return [record_key(event)]
    except Problem:
        return []


def once(
    call: Call,
    effect: Callable[[Account, Mapping[str, Item]], Effect],
    reads: Sequence[str] = (),
) -> Answer:
    """Do the effect once per account, route and key.

    `effect` is computed from the account as it is and its items with the sort keys `reads`, anew each time somebody
    else was faster; it raises Problem to refuse, and nothing is kept then, or OutdatedError where what it was given is
    not of one moment. What the route has read with the account is not read again. Raises Problem 400
    `idempotency_key_missing`, 422 `idempotency_key_reused`, 409 `request_in_progress`, or TryAgainError.
    """
    own = record_key(call.event)
    body = hashlib.sha256(_canonical(call.event)).hexdigest()
    dynamodb, table = clients.dynamodb(), call.settings.ledger_table
    wanted = list(dict.fromkeys([own, *reads]))
    account: Account | None = call.account
    items: Mapping[str, Item] = call.items
    in_flight = False
    for attempt in failures.attempts():
        if attempt:
            account, items = read_account_with(dynamodb, table, call.account.account_id, wanted)
        elif not set(wanted) <= set(call.asked):
            items = {**items, **in_partition(dynamodb, table, keys.ledger(call.account.account_id), wanted)}
        if own in items:
            return _replay(items[own], body)
        if account is None:
            raise problems.not_found("account")
        try:
            made = effect(account, items)
            transact(dynamodb, [_record(table, call.account, own, body, made.answer), *made.items])
        except OutdatedError:
            continue
        except Problem as refusal:
            return _replay_or_raise(dynamodb, table, account, own, body, refusal)
        except failures.TryAgainError as error:
            in_flight = failures.cancellation_codes(error.__cause__ or error)[:1] == ["TransactionConflict"]
            continue
        return made.answer
    if in_flight:
        raise problems.conflict("request_in_progress", "a request with this key is being worked on")
    raise failures.TryAgainError


def _replay_or_raise(
    dynamodb: DynamoDBClient, table: str, account: Account, own: str, body: str, refusal: Problem
) -> Answer:
    """Raises the refusal, unless this very request has succeeded meanwhile.

    What forbids it may be its own effect, of which the other try's record was not visible yet.
    """
    kept = in_partition(dynamodb, table, keys.ledger(account.account_id), [own])
    if own in kept:
        return _replay(kept[own], body)
    raise refusal


def _record(table: str, account: Account, sort_key: str, body: str, answer: Answer) -> dict[str, Any]:
    """The transaction item that keeps the answer; it fails where there is one."""
    item = {
        "pk": {"S": keys.ledger(account.account_id)},
        "sk": {"S": sort_key},
        "body": {"S": body},
        "status": {"N": str(answer.status)},
        "text": {"S": answer.text},
    }
    return {
        "Put": {
            "TableName": table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }


def _key(event: Mapping[str, Any]) -> str:
    key = (event.get("headers") or {}).get(_HEADER)
    if not key:
        raise Problem(HTTPStatus.BAD_REQUEST, "idempotency_key_missing", "the header Idempotency-Key is needed")
    if len(key) > _MAX_KEY_CHARACTERS:
        raise problems.invalid_request(FieldError("Idempotency-Key", f"at most {_MAX_KEY_CHARACTERS} characters"))
    if _NO_HEADER.search(key):
        raise problems.invalid_request(FieldError("Idempotency-Key", "has a character that no header can hold"))
    return str(key)


def _canonical(event: Mapping[str, Any]) -> bytes:
    """The body as a value: spaces and the order of names do not make it another one; the path's other parts do."""
    others = {name: value for name, value in (event.get("pathParameters") or {}).items() if name != "account_id"}
    return json.dumps([strict_json(event.get("body") or "{}"), others], sort_keys=True).encode()


def _replay(kept: Mapping[str, Any], body: str) -> Answer:
    if kept["body"]["S"] != body:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "the key was used for a request with another body",
        )
    return Answer(int(kept["status"]["N"]), kept["text"]["S"], REPLAYED)
