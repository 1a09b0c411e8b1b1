"""What the template tells a function through its environment. Read when asked for, never at import."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from aws_platform.keys import SHARDS
from rating.arrears import RELEASE_DAYS

ARCHIVE_DAYS = 400
"""Days that calls stay in the archive, unless the stack says otherwise."""
DAILY_EMAIL_LIMIT = 1000
DAILY_SMS_LIMIT = 100
"""Messages that an account is sent in a day, unless the stack says otherwise."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of the stack's resources. A function has only those that it may use; the others are empty."""

    usage_table: str = ""
    live_table: str = ""
    ledger_table: str = ""
    settlement_queue_url: str = ""
    usage_dead_letter_queue_url: str = ""
    webhook_queue_url: str = ""
    verification_queue_url: str = ""
    export_queue_url: str = ""
    exports_bucket: str = ""
    """Where finished exports lie."""
    archive_stream: str = ""
    """The Firehose stream that carries raw events to the archive."""
    archive_bucket: str = ""
    archive_database: str = ""
    """The archive's database in Athena."""
    bus_name: str = ""
    sender_email: str = ""
    """The From of e-mails; empty where the stack sends none."""
    configuration_set: str = ""
    """Of SES, which tells of bounces."""
    sms_country_codes: tuple[str, ...] = ()
    """How numbers begin that SMS are sent to, as `+86`; empty where they are sent to all."""
    daily_email_limit: int = DAILY_EMAIL_LIMIT
    """Most e-mails that an account is sent in a business day."""
    daily_sms_limit: int = DAILY_SMS_LIMIT
    """Most SMS that an account is sent in a business day."""
    release_days: int = RELEASE_DAYS
    """Days from the stop to the release (D23)."""
    archive_days: int = ARCHIVE_DAYS
    """Days that calls stay in the archive."""
    due_shards: int = SHARDS
    sandbox: bool = False
    """Whether the stack's parameter `Sandbox` is true: the clock is then an item that the sandbox moves."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment. Raises ValueError where `SANDBOX` or a number is none."""
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
            webhook_queue_url=environment.get("WEBHOOK_QUEUE_URL", ""),
            verification_queue_url=environment.get("VERIFICATION_QUEUE_URL", ""),
            export_queue_url=environment.get("EXPORT_QUEUE_URL", ""),
            exports_bucket=environment.get("EXPORTS_BUCKET", ""),
            archive_stream=environment.get("ARCHIVE_STREAM", ""),
            archive_bucket=environment.get("ARCHIVE_BUCKET", ""),
            archive_database=environment.get("ARCHIVE_DATABASE", ""),
            bus_name=environment.get("BUS_NAME", ""),
            sender_email=environment.get("SENDER_EMAIL", ""),
            configuration_set=environment.get("CONFIGURATION_SET", ""),
            sms_country_codes=_listed(environment.get("SMS_COUNTRY_CODES", "")),
            daily_email_limit=int(environment.get("DAILY_EMAIL_LIMIT", DAILY_EMAIL_LIMIT)),
            daily_sms_limit=int(environment.get("DAILY_SMS_LIMIT", DAILY_SMS_LIMIT)),
            release_days=int(environment.get("RELEASE_DAYS", RELEASE_DAYS)),
            archive_days=int(environment.get("ARCHIVE_DAYS", ARCHIVE_DAYS)),
            due_shards=int(environment.get("DUE_SHARDS", SHARDS)),
            sandbox=sandbox == "true",
        )

    @property
    def release_after(self) -> timedelta:
        """From the stop to the release (D23)."""
        return timedelta(days=self.release_days)


def _listed(text: str) -> tuple[str, ...]:
    """The parts of a list with commas."""
    return tuple(part for part in map(str.strip, text.split(",")) if part)
