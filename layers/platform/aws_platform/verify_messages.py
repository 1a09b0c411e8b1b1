"""What messages of the verification queue ask for. Alone, for the planner starts without the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from aws_platform import keys
from rating.civil import ONE_DAY

CHARGES = "charges"
"""The task of a message for the charges of one account and day."""
ARCHIVE = "archive"
"""The task of a message for one part of the archive of a day: of the accounts that were settled on the same day."""


def charges_message(account_id: str, day: date) -> Mapping[str, Any]:
    """The message for the charges of an account and day: queued by the pass that works their part off."""
    return {"task": CHARGES, "account_id": account_id, "day": day.isoformat()}


def archive_message(due_sk: str) -> Mapping[str, Any]:
    """The message for the part that the entry is in."""
    settled_on, part, day, _ = keys.read_verify(due_sk)
    return {"task": ARCHIVE, "settled_on": settled_on, "part": part, "day": day}


def is_whole(message: Mapping[str, Any]) -> bool:
    """Whether the part is of the day before its settlement: then all accounts that had usage are settled in it (D3).

    Of an older day only those are that had late usage, or whose month is over.
    """
    return date.fromisoformat(message["settled_on"]) == date.fromisoformat(message["day"]) + ONE_DAY


def prefix_of(message: Mapping[str, Any]) -> str:
    """What the entries of a part begin with."""
    settled_on, day = date.fromisoformat(message["settled_on"]), date.fromisoformat(message["day"])
    return keys.verify_prefix(settled_on, message["part"], day)
