"""Notices put on the bus once more: whoever has had one gets nothing again."""

from __future__ import annotations

from datetime import date

from tools.ops.days import accounts_of
from tools.ops.stack import Stack


def republish(stack: Stack, account_id: str, days: list[date], *, dry: bool) -> int:
    """Publish what an account, or every account, was told on these days."""
    told = 0
    span = {"from": days[0].isoformat(), "to": days[-1].isoformat()}
    print(f"the notices of {account_id or 'all accounts'} from {span['from']} to {span['to']} go to the bus again")
    if dry:
        return 0
    for one in accounts_of(stack, account_id):
        told += int(stack.call("PublishFunction", {"republish": {"account_id": one, **span}})["notices"])
    print(f"{told} notices are on the bus; deliveries that were made are not made again")
    return 0
