"""The routes of exports (contract, Bills)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path

from aws_platform.access import Access
from aws_platform.api import Answer, Api
from aws_platform.idempotency import Key
from exports import asking
from exports.models import ExportShown, NewExport

api = Api()
E = "/v1/accounts/{account_id}/bills/exports"
TAGS = ["Bills"]


@api.route(
    "POST",
    E,
    Access.CUSTOMER_READ,
    success=(HTTPStatus.ACCEPTED, "the export, of which the file is being made", ExportShown),
    refusals={400: "`idempotency_key_missing`", 409: "`month_open`, `request_in_progress`"},
    tags=TAGS,
)
def create_export(account_id: str, body: NewExport, key: Key = None) -> Answer:  # noqa: ARG001 - checked at the edge
    """Export a month's bills as a file.

    A month is closed when the runs of the 1st of the next month have settled it, and stays so: what arrives later is
    charged later. The file is made in the background, and has what was booked when it was asked for.
    """
    return asking.create(api.call, body)


@api.route(
    "GET",
    f"{E}/{{export_id}}",
    Access.CUSTOMER_READ,
    success=(HTTPStatus.OK, "the export", ExportShown),
    refusals={404: "`export_not_found`"},
    tags=TAGS,
    reads=asking.export_reads,
    guard=asking.must_exist,
)
def get_export(account_id: str, export_id: Annotated[str, Path()]) -> Answer:  # noqa: ARG001
    """Read how far an export has come, and where its file can be fetched."""
    return asking.show(api.call)


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request."""
    return api.handle(event, context)
