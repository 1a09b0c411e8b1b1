"""What tests do to a local cloud beside what its users can."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.cloud import LocalCloud


def set_clock(cloud: LocalCloud, now: str) -> None:
    """Business time, without what moving it through the gateway would run: the test runs that itself."""
    cloud.client("dynamodb").update_item(
        TableName=cloud.resources["LedgerTable"],
        Key={"pk": {"S": "sandbox"}, "sk": {"S": "clock"}},
        UpdateExpression="SET #now = :now",
        ExpressionAttributeNames={"#now": "now"},
        ExpressionAttributeValues={":now": {"S": now}},
    )
