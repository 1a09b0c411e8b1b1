"""What the template tells a function through its environment. Read when asked for, never at import."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from aws_platform.keys import SHARDS


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of the stack's resources. A function has only those that it may use; the others are empty."""

    usage_table: str = ""
    live_table: str = ""
    ledger_table: str = ""
    settlement_queue_url: str = ""
    usage_dead_letter_queue_url: str = ""
    due_shards: int = SHARDS
    sandbox: bool = False
    """Whether the stack's parameter `Sandbox` is true: the clock is then an item that the sandbox moves."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment. Raises ValueError where `SANDBOX` or `DUE_SHARDS` is none."""
        sandbox = environment.get("SANDBOX", "false")
        if sandbox not in {"true", "false"}:
            msg = f"SANDBOX must be true or false, not {sandbox!r}"
            raise ValueError(msg)
        return cls(
            usage_table=environment.get("USAGE_TABLE", ""),
            live_table=environment.get("LIVE_TABLE", ""),
            ledger_table=environment.get("LEDGER_TABLE", ""),
            settlement_queue_url=environment.get("SETTLEMENT_QUEUE_URL", ""),
            usage_dead_letter_queue_url=environment.get("USAGE_DEAD_LETTER_QUEUE_URL", ""),
            due_shards=int(environment.get("DUE_SHARDS", SHARDS)),
            sandbox=sandbox == "true",
        )
