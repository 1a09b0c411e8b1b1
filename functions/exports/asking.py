"""Asking for an export, and looking at it. The file is made by the worker."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, keys, problems
from aws_platform.accounts import read_account
from aws_platform.api import Answer, Call, answer
from aws_platform.exports import (
    KEPT_FOR,
    Export,
    Status,
    What,
    ask_for,
    export_from_item,
    export_key,
    export_put,
    is_export_id,
    new_export_id,
)
from aws_platform.idempotency import Effect, once, record_key
from aws_platform.problems import FieldError
from exports.closing import is_closed
from exports.columns import unknown_columns
from rating.civil import business_instant, rfc3339

if TYPE_CHECKING:
    from aws_platform.reading import Item
    from exports.models import NewExport
    from rating.account import Account

logger = Logger()
LINK_SECONDS = 15 * 60
"""How long a link is good; it is real time, whatever the clock of business says."""


def export_reads(event: Mapping[str, Any]) -> Sequence[str]:
    """The item of the path's export."""
    export_id = _named(event)
    return [export_key(export_id)] if is_export_id(export_id) else []


def must_exist(call: Call) -> None:
    """Raises Problem 404 `export_not_found` where the account does not have the path's export."""
    _export_of(call)


def show(call: Call) -> Answer:
    """The path's export."""
    return answer(_shown(_export_of(call), call))


def create(call: Call, body: NewExport) -> Answer:
    """Keep what is asked for, then have it made. Raises Problem 422, or 409 `month_open`.

    The answer says that it is kept, and does not depend on who is told of it: what is kept is made, for its timer has
    the worker told again.
    """
    what, columns = What(body.kind), tuple(body.columns) if body.columns is not None else None
    unknown = unknown_columns(what, columns or ())
    if unknown:
        refused = [FieldError(f"columns.{place}", f"{what} has no such column") for place in unknown]
        raise problems.invalid_request(*refused)
    dynamodb, settings, now = clients.dynamodb(), call.settings, business_instant(call.now)
    export_id = new_export_id(call.account.account_id, now, record_key(call.event))
    is_new = False

    def effect(account: Account, items: Mapping[str, Item]) -> Effect:
        nonlocal is_new
        if not is_closed(dynamodb, settings.usage_table, account, items, body.month, now):
            raise problems.conflict("month_open", "the month is not settled yet; it is from the 1st of the next on")
        # Read after the days: what they are not due for any more is booked in this version.
        latest = read_account(dynamodb, settings.ledger_table, account.account_id) or account
        export = Export(
            export_id=export_id,
            account_id=account.account_id,
            month=body.month,
            basis=body.basis or _usual_basis(what),
            what=what,
            file_format=body.format,
            columns=columns,
            locale=body.locale or account.contact.locale,
            created_at=now,
            version=latest.version,
        )
        put = export_put(settings.ledger_table, export, settings.due_shards)
        is_new = True
        return Effect([put], answer(_shown(export, call), HTTPStatus.ACCEPTED))

    answered = once(call, effect, [keys.month_item(body.month)])
    # Also where our own answer was lost, and found again; not for a request that comes again after a while.
    if is_new:
        _tell(call, json.loads(answered.text)["export_id"])
    return answered


def _usual_basis(what: What) -> str:
    """Of the FinOps specification a month is what is charged in it; elsewhere the usage counts (contract, Bills)."""
    return "charge" if what is What.FOCUS else "usage"


def _tell(call: Call, export_id: str) -> None:
    account_id = call.account.account_id
    try:
        ask_for(clients.sqs(), call.settings.export_queue_url, account_id, export_id)
    except Exception:
        logger.exception("export not queued; its timer does it", account_id=account_id, export_id=export_id)


def _export_of(call: Call) -> Export:
    item = call.items.get(export_key(_named(call.event)))
    if item is None:
        raise problems.not_found("export")
    return export_from_item(item)


def _named(event: Mapping[str, Any]) -> str:
    return str((event.get("pathParameters") or {}).get("export_id"))


def _shown(export: Export, call: Call) -> dict[str, Any]:
    """As answered; a link is made for each answer."""
    status, made = export.status(call.now), export.made
    return {
        "export_id": export.export_id,
        "status": status.value,
        "url": _link(call.settings.exports_bucket, export) if status is Status.COMPLETED else None,
        "month": export.month,
        "basis": export.basis,
        "kind": export.what.value,
        "format": export.file_format,
        "columns": None if export.columns is None else list(export.columns),
        "locale": export.locale,
        "as_of": rfc3339(export.created_at),
        "created_at": rfc3339(export.created_at),
        "completed_at": rfc3339(made.completed_at) if made else None,
        "expires_at": rfc3339(made.completed_at + KEPT_FOR) if made else None,
        "rows": made.rows if made else None,
        "bytes": made.size if made else None,
    }


def _link(bucket: str, export: Export) -> str:
    """Fetches the file without a token: whoever has it may, as long as it is good."""
    saved_as = f'attachment; filename="{export.file_name}"'
    place = {"Bucket": bucket, "Key": export.object_key, "ResponseContentDisposition": saved_as}
    return clients.s3().generate_presigned_url("get_object", Params=place, ExpiresIn=LINK_SECONDS)
