"""Notices: what somebody must hear of, as facts. Texts are made of them where they are shown or sent (D27, D28)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a notice is about (contract, Notices and webhooks)."""

    PACKAGE_DELIVERED = "package_delivered"
    PACKAGE_LOW = "package_low"
    PACKAGE_EXHAUSTED = "package_exhausted"
    PACKAGE_EXPIRING = "package_expiring"
    PACKAGE_EXPIRED = "package_expired"
    ARREARS = "arrears"
    STOPPED = "stopped"
    RESUMED = "resumed"
    RELEASED = "released"
    REFUND_COMPLETED = "refund_completed"
    BALANCE_LOW = "balance_low"
    DAILY_REPORT = "daily_report"
    WEBHOOK_DISABLED = "webhook_disabled"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened to an account. Its data is JSON: money and instants are texts; nothing personal."""

    kind: Kind
    occurred_at: datetime
    """When it happened, not when it was noticed."""
    data: Mapping[str, Any] = field(default_factory=dict)
