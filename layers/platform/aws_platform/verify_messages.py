"""What messages of the verification queue ask for. Alone, for the planner starts without the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from aws_platform import keys

CHARGES = "charges"
"""The task of a message for the charges of one account and day."""
ARCHIVE = "archive"
"""The task of a message for one part of the archive of a day: of the accounts that were settled on the same day."""


def charges_message(due_sk: str) -> Mapping[str, Any]:
    """The message for the account and day of an entry in the index of days to verify."""
    _, _, day, account_id = keys.read_verify(due_sk)
    return {"task": CHARGES, "account_id": account_id, "day": day}


def archive_message(due_sk: str) -> Mapping[str, Any]:
    """The message for the part that the entry is in."""
    settled_on, part, day, _ = keys.read_verify(due_sk)
    return {"task": ARCHIVE, "settled_on": settled_on, "part": part, "day": day}


def prefix_of(message: Mapping[str, Any]) -> str:
    """What the entries of a part begin with."""
    settled_on, day = date.fromisoformat(message["settled_on"]), date.fromisoformat(message["day"])
    return keys.verify_prefix(settled_on, message["part"], day)
