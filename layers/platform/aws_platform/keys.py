"""The keys of all tables, in one place. Account ids hold no `#`, so parts cannot run into each other."""

from __future__ import annotations

import re
import zlib
from datetime import date, datetime
from typing import Any

from rating.civil import rfc3339

ACCOUNT_ID_PATTERN = "^[A-Za-z0-9_-]{1,64}$"
_ACCOUNT_ID = re.compile(ACCOUNT_ID_PATTERN.strip("^$"))

SHARDS = 4
"""Partitions of a due-index, unless the stack says otherwise. Each takes 1,000 writes a second before DynamoDB splits
it for heat. A running stack may get more of them, never fewer: what lies in one is found only by asking it."""


def is_account_id(text: str) -> bool:
    """Whether an account can have this id; anything else need not be looked up."""
    return _ACCOUNT_ID.fullmatch(text) is not None


DUE_PREFIX = "due#"
"""What the partitions begin with of what waits for a run."""


def shard_of(account_id: str, shards: int = SHARDS) -> str:
    """The partition of a due-index that an account's entries are in."""
    return f"{DUE_PREFIX}{zlib.crc32(account_id.encode()) % shards}"


def all_shards(shards: int = SHARDS) -> list[str]:
    """Every partition of a due-index."""
    return [f"{DUE_PREFIX}{number}" for number in range(shards)]


def due_sort_key(due_on: date, account_id: str, item: str) -> str:
    """Sorts a due-index by the day whose 08:00 run should take the entry, then by account."""
    return f"{due_on.isoformat()}#{account_id}#{item}"


def timer(account_id: str, due_at: datetime, sort_key: str, shards: int) -> dict[str, Any]:
    """The attributes that place an item in the due-index of timers: what has to be done at an instant."""
    return {
        "due_pk": {"S": f"timer#{zlib.crc32(account_id.encode()) % shards}"},
        "due_sk": {"S": f"{rfc3339(due_at)}#{account_id}#{sort_key}"},
    }


def read_timer(due_sk: str) -> tuple[str, str, str]:
    """(instant, account id, sort key of the item) of a place in the due-index of timers."""
    due_at, account_id, sort_key = due_sk.split("#", 2)
    return due_at, account_id, sort_key


def all_timer_shards(shards: int = SHARDS) -> list[str]:
    """Every partition of the due-index that timers are in."""
    return [f"timer#{number}" for number in range(shards)]


ACCOUNT_HASHES = 12
"""Parts that the accounts fall into in the archive. Firehose writes to at most 500 places at a time, each a day and a
part, and usage may be of 36 days and of tomorrow (D4)."""


def account_hash(account_id: str) -> str:
    """The part of the archive, and of the index of days to verify, that an account is in."""
    return f"{zlib.crc32(account_id.encode()) % ACCOUNT_HASHES:02d}"


def verify_shard(account_id: str, shards: int = SHARDS) -> str:
    """The partition of the usage table's due-index with an account's settled days that are still to be verified."""
    return f"verify#{zlib.crc32(account_id.encode()) % shards}"


def all_verify_shards(shards: int = SHARDS) -> list[str]:
    """Every partition of the due-index that days to verify are in."""
    return [f"verify#{number}" for number in range(shards)]


def verify_prefix(settled_on: date, part: str, day: date) -> str:
    """What the entries begin with of one part's usage of a day that was settled on the same day."""
    return f"{settled_on.isoformat()}#{part}#{day.isoformat()}#"


def verify_sort_key(settled_on: date, account_id: str, day: date, version: int) -> str:
    """Sorts the days to verify by when they were settled, then by part of the archive and usage day.

    `version` is the account's: a day that is billed again makes another entry. A day that is settled twice on one day
    without a bill, for late calls that are not chargeable, makes the same entry: a verification that compared the
    archive between the two may then take both out. Only charges matter to bills, and there were none.
    """
    return f"{verify_prefix(settled_on, account_hash(account_id), day)}{account_id}#{version}"


def read_verify(due_sk: str) -> tuple[str, str, str, str]:
    """(day of the settlement, part, usage day, account id) of a day to verify."""
    settled_on, part, day, account_id, _ = due_sk.split("#")
    return settled_on, part, day, account_id


# Usage table: buckets under the day they belong to; day items, late marks and the dictionary under the account.


def usage_day(account_id: str, day: date) -> str:
    """Partition of an account's buckets of one day."""
    return f"{account_id}#{day:%Y%m%d}"


def usage_account(account_id: str) -> str:
    """Partition of an account's day items, late marks and dictionary."""
    return f"{account_id}#days"


DAY_PREFIX = "D#"
LATE_PREFIX = "L#"
DICTIONARY = "names"


def day_item(day: date) -> str:
    """Sort key of a day item."""
    return f"{DAY_PREFIX}{day.isoformat()}"


def late_mark(day: date) -> str:
    """Sort key of a late mark."""
    return f"{LATE_PREFIX}{day.isoformat()}"


# Live table: the windows of an account in the order of time, and after them the digest of its days.

DIGEST = "~digest"


def windows(account_id: str) -> str:
    """Partition of an account's windows and of their digest."""
    return f"{account_id}#windows"


def window(day: date, minute: int) -> str:
    """Sort key of a window: the day and its minute."""
    hour, rest = divmod(minute, 60)
    return f"{day:%Y%m%d}{hour:02d}{rest:02d}"


def place_of_window(sort_key: str) -> tuple[date, int]:
    """The day and the minute that a window's sort key names."""
    year, month, day, hour, rest = sort_key[:4], sort_key[4:6], sort_key[6:8], sort_key[8:10], sort_key[10:]
    return date(int(year), int(month), int(day)), int(hour) * 60 + int(rest)


# Ledger table: everything of an account in one partition.

ACCOUNT = "0#account"
WALLET_PREFIX = "1#wallet#"
TERMS = "1#terms"
VOUCHER_PREFIX = "1#voucher#"
"""Vouchers with something left; the others are under `SPENT_VOUCHER_PREFIX`."""
LAST_PART = "1#~"
"""After the account and all its parts."""
MONTH_PREFIX = "2#month#"
BILL_PREFIX = "B#"
JOURNAL_PREFIX = "J#"
ORDER_PREFIX = "O#"
GRANT_PREFIX = "G#"
REFUND_PREFIX = "R#"
ENDED_PREFIX = "E#"
"""What packages had used when they left their wallets unfinished."""
SPENT_VOUCHER_PREFIX = "V#"
NOTICE_PREFIX = "N#"
"""Pages of notices; a page is what one transaction tells."""
DELIVERY_PREFIX = "D#"
"""What became of a notice on a channel, for each recipient."""
LOOK_PREFIX = "T#look#"
"""Tags of whose packages a look has failed and is to be made again."""
SUBSCRIPTIONS = "S#"
"""Whom to tell and how: the subscription, addresses that do not take messages, webhooks."""
SUBSCRIPTION = "S#subscription"
ADDRESS_PREFIX = "S#address#"
WEBHOOK_PREFIX = "S#webhook#"
WEBHOOK_LOCK = "W#lock"
"""Replaced by whoever adds a webhook, so that nobody counts them while another adds one."""
EXPORT_PREFIX = "X#"
CORRECTION_PREFIX = "C#"
"""Which adjustments name a transaction: a pointer for each, under the id of what it corrects."""
QUOTA_PREFIX = "Q#"
"""Which deliveries count towards a channel's limit of a day. These small items stay: the table has no TTL."""


def ledger(account_id: str) -> str:
    """Partition of an account's money, bills and idempotency records."""
    return f"A#{account_id}"


def account_of_ledger(partition: str) -> str:
    """The account whose partition of the ledger it is."""
    return partition.removeprefix("A#")


def wallet(tag: str) -> str:
    """Sort key of the packages of a tag."""
    return f"{WALLET_PREFIX}{tag}"


def month_item(month: str) -> str:
    """Sort key of what was charged in a month so far."""
    return f"{MONTH_PREFIX}{month}"


def bill(charge_month: str, charged_at: str, bill_id: str) -> str:
    """Sort key of a bill: by month and time of the charge."""
    return f"{BILL_PREFIX}{charge_month}#{charged_at}#{bill_id}"


def bill_by_usage(usage_month: str, usage_day: str, bill_id: str) -> str:
    """Second sort key of a bill: by month and day of the usage."""
    return f"{usage_month}#{usage_day}#{bill_id}"


def correction(corrected: str, adjustment: str) -> str:
    """Sort key of the pointer to an adjustment; both are ids of transactions, which hold no `#`."""
    return f"{CORRECTION_PREFIX}{corrected}#{adjustment}"


def journal(occurred_at: str, sequence: int) -> str:
    """Sort key of a journal page: by time, then by the account's version."""
    return f"{JOURNAL_PREFIX}{occurred_at}#{sequence:010d}"


def notice_page(page_id: str) -> str:
    """Sort key of a page of notices; ids of pages begin with the time."""
    return f"{NOTICE_PREFIX}{page_id}"


def delivery(notice_id: str, channel: str, recipient: str) -> str:
    """Sort key of what became of a notice; `recipient` is an id that gives no address away."""
    return f"{DELIVERY_PREFIX}{notice_id}#{channel}#{recipient}"


def quota(channel: str, day: date) -> str:
    """Sort key of the count of what was sent on a channel on a day."""
    return f"{QUOTA_PREFIX}{channel}#{day:%Y%m%d}"


def idempotency(route: str, digest: str) -> str:
    """Sort key of the record of a request that succeeded."""
    return f"I#{route}#{digest}"


# Ledger table, for all accounts: what the operator has set beside the catalog's own data.

CATALOG = "G#catalog"
PRICES = "prices"
ACTIVITIES = "activities"
