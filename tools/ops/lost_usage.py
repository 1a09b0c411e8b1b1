"""What the usage table has lost of an account: its dictionary, day items and buckets.

Buckets only grow, so what was there then must be the beginning of what is there now. The dictionary comes first: a
record counts by its numbers. Days come back as due: what bills hold of them is not charged again. Those that no run
looks at any more come back as settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from aws_platform import keys, records
from rating.schedule import Cycle, run_day
from tools.ops.lost import Found, Item, Lost

type Items = Mapping[str, Item]


def lost_of_days(found: Found, then: Items, now: Items, cycle: Cycle, first: date, shards: int) -> None:
    """Compare what lies under the account: dictionary and day items, which are due from the `first` on."""
    if keys.DICTIONARY in then:
        _names(found, then[keys.DICTIONARY], now.get(keys.DICTIONARY))
    for sort_key in sorted(then):
        if sort_key.startswith(keys.DAY_PREFIX) and sort_key not in now:
            day = date.fromisoformat(sort_key.removeprefix(keys.DAY_PREFIX))
            due = {
                "due_pk": {"S": keys.shard_of(found.account_id, shards)},
                "due_sk": {"S": keys.due_sort_key(run_day(cycle, day), found.account_id, sort_key)},
            }
            item = {name: then[sort_key][name] for name in ("pk", "sk")}
            found.lost.append(Lost("days", item | due if day >= first else item))


def lost_of_buckets(found: Found, day: date, then: Items, now: Items) -> None:
    """Compare a day's buckets, all generations of each together."""
    for bucket in sorted({_bucket(sort_key) for sort_key in then}):
        before, after = _generations(then, bucket), _generations(now, bucket)
        old, new = b"".join(before.values()), b"".join(after.values())
        if new.startswith(old):
            continue
        if not old.startswith(new):
            found.unclear.append(f"a bucket of {day} has other calls than before: make ops-replay DAY={day}")
            continue
        for sort_key, content in before.items():
            if after.get(sort_key) != content:
                found.lost.append(Lost("buckets", then[sort_key], now.get(sort_key)))


def _names(found: Found, then: Item, now: Item | None) -> None:
    """A dictionary only grows; of two that went different ways, records would count under wrong names."""
    if now is None:
        found.lost.append(Lost("names", then))
        return
    for attribute in ("sub_accounts", "codes"):
        before, after = (list(map(_text, item[attribute]["L"])) for item in (then, now))
        if after[: len(before)] != before:
            if before[: len(after)] != after:
                found.unclear.append(f"the numbers of {attribute} were given anew")
                return
            found.lost.append(Lost("names", then, now))
            return


def _text(entry: Any) -> str:
    return str(entry["S"])


def _bucket(sort_key: str) -> str:
    return sort_key.rpartition("#")[0]


def _generations(items: Items, bucket: str) -> dict[str, bytes]:
    own = {sort_key: bytes(item["r"]["B"]) for sort_key, item in items.items() if _bucket(sort_key) == bucket}
    return dict(sorted(own.items(), key=lambda one: records.generation_of_key(one[0])))
