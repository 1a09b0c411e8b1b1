"""What one attempt of a call answers under a fault: the request goes in, a body comes out, or an error."""

from __future__ import annotations

import copy
from collections.abc import Callable
from http import HTTPStatus
from random import Random
from typing import Any

from .calls import Call
from .dynamodb import cancelled
from .errors import HarnessError
from .faults import Fault
from .values import Refused

STALE_COMMITS = 8
_THROTTLES = {
    "dynamodb": ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"],
    "sqs": ["RequestThrottled"],
    "sesv2": ["TooManyRequestsException", "ThrottlingException"],
    "sns": ["Throttling", "Throttled"],
    "https": ["TooManyRequests"],
}
_THROTTLED_STATUS = dict.fromkeys(
    ("TooManyRequestsException", "Throttled", "TooManyRequests"), HTTPStatus.TOO_MANY_REQUESTS
)
_SERVER_ERRORS = {"dynamodb": "InternalServerError", "events": "InternalException", "sns": "InternalError"}

type Body = dict[str, Any]
type Serve = Callable[[Call], Body]


def throttled(call: Call, dice: Random) -> Refused:
    """Return the throttling error of a service."""
    code = dice.choice(_THROTTLES.get(call.service, ["ThrottlingException"]))
    status = _THROTTLED_STATUS.get(code, HTTPStatus.BAD_REQUEST)
    return Refused(code, "made by the fault harness", status=status)


def server_error(call: Call) -> Refused:
    """Return an error 500."""
    code = _SERVER_ERRORS.get(call.service, "InternalFailure")
    return Refused(code, "made by the fault harness", status=500)


def conflict(call: Call, dice: Random) -> Refused:
    """Return what a write hears while another transaction holds the item."""
    if not call.operation.startswith("Transact"):
        return Refused("TransactionConflictException", "Transaction is ongoing for the item")
    return cancelled(_reasons(call, dice, "TransactionConflict", "Transaction is ongoing for the item"))


def transaction_throttled(call: Call, dice: Random) -> Refused:
    """Return a transaction cancelled for want of throughput."""
    code = dice.choice(["ThrottlingError", "ProvisionedThroughputExceeded"])
    return cancelled(_reasons(call, dice, code, "Throughput exceeds the current capacity"))


def _reasons(call: Call, dice: Random, code: str, message: str) -> list[Body]:
    reasons: list[Body] = [{"Code": "None"} for _ in call.body["TransactItems"]]
    reasons[dice.randrange(len(reasons))] = {"Code": code, "Message": message}
    return reasons


def in_progress() -> Refused:
    """Return what a re-send hears while the first attempt is still under way."""
    return Refused(
        "TransactionInProgressException", "The transaction with the given request token is already in progress"
    )


def short_page(call: Call, dice: Random, serve: Serve) -> Body:
    """Return a page that ends early; where it had all items, the next page will be empty."""
    wanted = min(call.body.get("Limit") or 1000, dice.randint(1, 3))
    answer = serve(_with(call, {**call.body, "Limit": wanted}))
    if "LastEvaluatedKey" not in answer and answer["ScannedCount"]:
        answer = serve(_with(call, {**call.body, "Limit": answer["ScannedCount"]}))
    return answer


def partial(call: Call, dice: Random, serve: Serve) -> Body:
    """Return the answer of a batch of which some entries were not done."""
    cut = {
        "BatchGetItem": _partial_get,
        "BatchWriteItem": _partial_write,
        "SendMessageBatch": _partial_send,
        "PutRecordBatch": _partial_records,
        "PutEvents": _partial_events,
    }.get(call.operation)
    if cut is None:
        raise HarnessError(f"no partial failure for {call}")
    return cut(call, dice, serve)


def _with(call: Call, body: Body) -> Call:
    return Call(call.service, call.operation, body, call.invocation, call.attempt)


def _split(count: int, dice: Random, *, keep: int) -> set[int]:
    """Return which of ``count`` entries are left undone: one at least, ``keep`` done at least."""
    return set(dice.sample(range(count), dice.randint(1, count - keep)))


def _partial_get(call: Call, dice: Random, serve: Serve) -> Body:
    requests = call.body["RequestItems"]
    flat = [(name, key) for name, request in requests.items() for key in request["Keys"]]
    undone = _split(len(flat), dice, keep=1)
    done: Body = {}
    left: Body = {}
    for position, (name, key) in enumerate(flat):
        side = left if position in undone else done
        side.setdefault(name, {**requests[name], "Keys": []})["Keys"].append(key)
    answer = serve(_with(call, {**call.body, "RequestItems": done}))
    answer["UnprocessedKeys"] = left
    return answer


def _partial_write(call: Call, dice: Random, serve: Serve) -> Body:
    flat = [(name, one) for name, requests in call.body["RequestItems"].items() for one in requests]
    undone = _split(len(flat), dice, keep=1)
    done: Body = {}
    left: Body = {}
    for position, (name, one) in enumerate(flat):
        (left if position in undone else done).setdefault(name, []).append(one)
    answer = serve(_with(call, {**call.body, "RequestItems": done}))
    answer["UnprocessedItems"] = copy.deepcopy(left)
    return answer


def _partial_send(call: Call, dice: Random, serve: Serve) -> Body:
    all_entries = call.body["Entries"]
    undone = _split(len(all_entries), dice, keep=0)
    done = [one for position, one in enumerate(all_entries) if position not in undone]
    answer = serve(_with(call, {**call.body, "Entries": done})) if done else {"Successful": []}
    answer["Failed"] = [
        {
            "Id": all_entries[position]["Id"],
            "SenderFault": False,
            "Code": "InternalError",
            "Message": "made by the harness",
        }
        for position in sorted(undone)
    ]
    return answer


def _partial_records(call: Call, dice: Random, serve: Serve) -> Body:
    return _partial_list(call, dice, serve, given="Records", told="RequestResponses", count="FailedPutCount")


def _partial_events(call: Call, dice: Random, serve: Serve) -> Body:
    return _partial_list(call, dice, serve, given="Entries", told="Entries", count="FailedEntryCount")


def _partial_list(call: Call, dice: Random, serve: Serve, **names: str) -> Body:
    records = call.body[names["given"]]
    undone = _split(len(records), dice, keep=0)
    done = [one for position, one in enumerate(records) if position not in undone]
    answer = serve(_with(call, {**call.body, names["given"]: done})) if done else {}
    good = iter(answer.get(names["told"], []))
    failed = {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "made by the fault harness"}
    told = [failed if position in undone else next(good) for position in range(len(records))]
    return {**answer, names["told"]: told, names["count"]: len(undone)}


REFUSED: dict[Fault, Callable[[Call, Random], Refused]] = {
    Fault.SERVER_ERROR_BEFORE: lambda call, _: server_error(call),
    Fault.THROTTLED: throttled,
    Fault.THROTTLED_OUT: throttled,
    Fault.CONFLICT: conflict,
    Fault.TRANSACTION_THROTTLED: transaction_throttled,
    Fault.TRANSACTION_IN_PROGRESS: lambda _call, _dice: in_progress(),
}
