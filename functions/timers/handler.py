"""The sweep: whatever has come due is done. A timer looks at the state again first, so that an old one does no harm.

What is due lies in a sparse index, so that whoever has nothing due costs nothing. Any number of sweeps may run at
once: what each does is conditioned on the state that it saw. One that runs out of time leaves the rest to the next.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import clients, clock, keys, metrics, thresholds
from aws_platform.due_index import due_entries
from aws_platform.settings import Settings
from aws_platform.standing import Reader
from aws_platform.tasks import in_turn, side_by_side
from rating.catalog import load
from rating.civil import ONE_SECOND, business_instant, local, rfc3339
from timers import arrears, exports, refunds, reports, retries

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
_AT_ONCE = 1000
"""Timers that are read before they are done."""
_FEW = 8
"""More than so many are done side by side, so that one that is slow does not keep the others waiting."""
_WORKERS = 16
_RESERVE_MILLISECONDS = 15_000
"""What is begun this long before the time-out can end before it."""


@dataclass(slots=True)
class Swept:
    """What became of the timers that were due."""

    done: int = 0
    failed: int = 0
    left: int = 0
    """For the next sweep, for want of time."""


@dataclass(frozen=True, slots=True)
class Work:
    """Timers that are done together: those of one account's wallets, or another one alone."""

    account_id: str
    sort_keys: Sequence[str]
    due_at: datetime = field(compare=False)

    @property
    def is_wallets(self) -> bool:
        """Whether it is about packages."""
        return self.sort_keys[0].startswith(keys.WALLET_PREFIX)


def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Do everything that is due. What fails stays due for the next sweep, and is counted for the alarm."""
    settings, dynamodb = Settings.from_environment(), clients.dynamodb()
    now = business_instant(clock.now(settings, dynamodb))
    swept = Swept()

    def in_time() -> bool:
        return context is None or context.get_remaining_time_in_millis() > _RESERVE_MILLISECONDS

    # In another order each minute: sweeps that overlap meet rarely, and nothing is behind the same slow timer for ever.
    order = random.Random(now.timestamp())  # noqa: S311 - a shuffle, not a secret
    shards = keys.all_timer_shards(settings.due_shards)
    order.shuffle(shards)
    for shard in shards:
        for timers in batched(due_timers(dynamodb, settings.ledger_table, shard, now), _AT_ONCE, strict=False):
            work = together(timers, now)
            order.shuffle(work)
            _do_all(dynamodb, settings, work, now, swept, in_time)
            if swept.left:
                break
    logger.info("timers swept", done=swept.done, failed=swept.failed, left=swept.left)
    metrics.publish("timers", {"FailedTimers": swept.failed, "LeftTimers": swept.left})
    return {"done": swept.done, "failed": swept.failed, "left": swept.left}


def due_timers(dynamodb: DynamoDBClient, table: str, shard: str, now: datetime) -> Iterator[str]:
    """What of a shard is due, as `keys.timer` names it, first due first."""
    return due_entries(dynamodb, table, shard, "0", rfc3339(now + ONE_SECOND))


def together(timers: Sequence[str], now: datetime) -> list[Work]:
    """The work of these timers, in their order; an account's wallets are read, told and written at once."""
    work: list[Work] = []
    wallets: dict[str, list[str]] = {}
    for timer in timers:
        try:
            due, account_id, sort_key = keys.read_timer(timer)
            due_at = local(datetime.fromisoformat(due))
        except ValueError:
            # Nobody writes such a thing; it fails alone, where it is done.
            work.append(Work("", [timer], now))
            continue
        if not sort_key.startswith(keys.WALLET_PREFIX):
            work.append(Work(account_id, [sort_key], due_at))
        elif account_id in wallets:
            wallets[account_id].append(sort_key)
        else:
            wallets[account_id] = [sort_key]
            work.append(Work(account_id, wallets[account_id], due_at))
    return work


def do(dynamodb: DynamoDBClient, settings: Settings, work: Work, now: datetime) -> None:
    """Do what is due. Raises ValueError for a timer of no known kind."""
    account_id, sort_key = work.account_id, work.sort_keys[0]
    reader = Reader(dynamodb, settings, load(), side_by_side)
    if work.is_wallets:
        tags = [one.removeprefix(keys.WALLET_PREFIX) for one in work.sort_keys]
        thresholds.tell(reader, account_id, tags, now)
    elif sort_key == keys.ACCOUNT:
        arrears.tell(dynamodb, settings, account_id, now)
    elif sort_key.startswith(keys.LOOK_PREFIX):
        thresholds.make_up(reader, account_id, sort_key.removeprefix(keys.LOOK_PREFIX), work.due_at, now)
    elif sort_key.startswith(keys.REFUND_PREFIX):
        refunds.complete(dynamodb, settings, account_id, sort_key, now)
    elif sort_key == keys.SUBSCRIPTION:
        reports.tell(reader, account_id, work.due_at, now)
    elif sort_key.startswith(keys.DELIVERY_PREFIX):
        retries.queue(dynamodb, settings, account_id, sort_key, work.due_at, now)
    elif sort_key.startswith(keys.EXPORT_PREFIX):
        exports.look_after(dynamodb, settings, account_id, sort_key, work.due_at, now)
    else:
        msg = f"no timer is known for {sort_key}"
        raise ValueError(msg)


def _do_all(
    dynamodb: DynamoDBClient,
    settings: Settings,
    work: list[Work],
    now: datetime,
    swept: Swept,
    in_time: Callable[[], bool],
) -> None:
    def one(due: Work) -> bool | None:
        if not in_time():
            return None
        try:
            do(dynamodb, settings, due, now)
        except Exception:
            logger.exception("timer failed", account_id=due.account_id, timers=due.sort_keys)
            return False
        return True

    tasks = [partial(one, due) for due in work]
    results = side_by_side(tasks, _WORKERS) if len(work) > _FEW else in_turn(tasks)
    swept.done += results.count(True)
    swept.failed += results.count(False)
    swept.left += results.count(None)
