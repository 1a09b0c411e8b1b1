"""Requests with a key: the first answer is kept for good, in the transaction of its effect (contract, Conventions)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_platform import clients, failures, keys, problems
from aws_platform.accounts import read_account
from aws_platform.api import Answer, Call
from aws_platform.edge import strict_json
from aws_platform.ledger import OutdatedError, transact
from aws_platform.problems import FieldError, Problem

if TYPE_CHECKING:
    from rating.account import Account

_MAX_KEY_CHARACTERS = 255
_HEADER = "idempotency-key"
REPLAYED = {"Idempotent-Replayed": "true"}


@dataclass(frozen=True, slots=True)
class Effect:
    """What a request does: the transaction's items, and the answer once they are written."""

    items: Sequence[Mapping[str, Any]]
    answer: Answer


def once(call: Call, effect: Callable[[Account], Effect]) -> Answer:
    """Do the effect once per account, route and key.

    `effect` is computed from the account as it is, anew each time somebody else was faster; it raises Problem to
    refuse, and nothing is kept then. Raises Problem 400 `idempotency_key_missing`, 422 `idempotency_key_reused`, 409
    `request_in_progress`, or TryAgainError.
    """
    key = _key(call.event)
    route = str(call.event["routeKey"])
    record_key = {
        "pk": {"S": keys.ledger(call.account.account_id)},
        "sk": {"S": keys.idempotency(route, hashlib.sha256(key.encode()).hexdigest())},
    }
    body = hashlib.sha256(_canonical(call.event)).hexdigest()
    dynamodb, table = clients.dynamodb(), call.settings.ledger_table
    account: Account | None = call.account
    in_flight = False
    for attempt in failures.attempts():
        kept = dynamodb.get_item(TableName=table, Key=record_key, ConsistentRead=True).get("Item")
        if kept is not None:
            return _replay(kept, body)
        if attempt:
            account = read_account(dynamodb, table, call.account.account_id)
        if account is None:
            raise problems.not_found("account")
        made = effect(account)
        record = {
            "Put": {
                "TableName": table,
                "Item": {
                    **record_key,
                    "body": {"S": body},
                    "status": {"N": str(made.answer.status)},
                    "text": {"S": made.answer.text},
                },
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }
        try:
            transact(dynamodb, [record, *made.items])
        except OutdatedError:
            continue
        except failures.TryAgainError as error:
            in_flight = failures.cancellation_codes(error.__cause__ or error)[:1] == ["TransactionConflict"]
            continue
        return made.answer
    if in_flight:
        raise problems.conflict("request_in_progress", "a request with this key is being worked on")
    raise failures.TryAgainError


def _key(event: Mapping[str, Any]) -> str:
    key = (event.get("headers") or {}).get(_HEADER)
    if not key:
        raise Problem(HTTPStatus.BAD_REQUEST, "idempotency_key_missing", "the header Idempotency-Key is needed")
    if len(key) > _MAX_KEY_CHARACTERS:
        raise problems.invalid_request(FieldError("Idempotency-Key", f"at most {_MAX_KEY_CHARACTERS} characters"))
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
