"""The entitlement check: gateways ask before they make a call, so it costs two reads (contract, Metering; D14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Path

from aws_platform import clients, keys, problems
from aws_platform.access import Access
from aws_platform.accounts import read_account_with
from aws_platform.api import Answer, Api, Call, Shown, answer
from aws_platform.guards import check_tag
from aws_platform.ledger import OutdatedError, up_to_date
from aws_platform.snapshot import Snapshot, snapshot_of
from aws_platform.standing import Left, Reader
from rating.account import Account, Status
from rating.catalog import load

api = Api()
NOTHING = Left(0, 0)
Reason = Literal["not_opened", "stopped", "violation", "packages_exhausted", "released"]


class EntitlementShown(Shown):
    """Whether a call may be made now, and what is left of packages for it."""

    tag: str
    allowed: bool
    reason: Reason | None
    free_remaining: int
    paid_remaining: int
    postpaid_enabled: bool


def _wallet_of(event: Mapping[str, Any]) -> Sequence[str]:
    tag = str((event.get("pathParameters") or {}).get("tag"))
    return [keys.wallet(tag)] if load().has_tag(tag) else []


@api.route(
    "GET",
    "/v1/accounts/{account_id}/entitlements/{tag}",
    Access.ENTITLEMENT,
    success=(HTTPStatus.OK, "whether a call may be made", EntitlementShown),
    refusals={404: "`tag_not_found`"},
    tags=["Usage"],
    reads=_wallet_of,
    guard=check_tag,
)
def get_entitlement(
    account_id: str,  # noqa: ARG001 - checked at the edge
    tag: Annotated[str, Path()],
) -> Answer:
    """Ask whether the next call of a tag may be made; usage that is not settled yet counts."""
    call, key = api.call, keys.wallet(tag)
    try:
        return _entitlement(call, snapshot_of(call.account, call.items.values(), [key]), tag)
    except OutdatedError:
        return up_to_date(lambda: _entitlement(call, _again(call, key), tag))


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request."""
    return api.handle(event, context)


def _again(call: Call, key: str) -> Snapshot:
    table = call.settings.ledger_table
    account, items = read_account_with(clients.dynamodb(), table, call.account.account_id, [key])
    if account is None:
        raise problems.not_found("account")
    return snapshot_of(account, items.values(), [key])


def _entitlement(call: Call, snapshot: Snapshot, tag: str) -> Answer:
    account = snapshot.account
    left = _left(call, snapshot, tag)
    postpaid = account.postpaid.at(call.now)
    reason = _stopped(account, call.now)
    if reason is None and not postpaid and not left.free + left.paid:
        reason = "packages_exhausted"
    return answer(
        {
            "tag": tag,
            "allowed": reason is None,
            "reason": reason,
            "free_remaining": left.free,
            "paid_remaining": left.paid,
            "postpaid_enabled": postpaid,
        }
    )


def _left(call: Call, snapshot: Snapshot, tag: str) -> Left:
    """What is left of packages; without any there is nothing to count."""
    if not snapshot.wallet(tag).packages:
        return NOTHING
    reader = Reader(clients.dynamodb(), call.settings, load())
    totals = reader.live_calls(snapshot.account.account_id, consistent=False)
    return reader.live(snapshot, totals, call.now).left(tag, call.now)


def _stopped(account: Account, now: datetime) -> Reason | None:
    match account.status(now):
        case Status.ACTIVE:
            return None
        case Status.RELEASED:
            return "released"
        case Status.STOPPED:
            return "violation" if account.violation is not None else "stopped"
        case _:
            return "not_opened"
