"""What metering must know of an account: when it was opened, its numbers for names, which day items exist.

All of it only ever grows or stays, so a process may remember it; what is not remembered is read, never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from aws_platform import failures, keys, records
from aws_platform.accounts import account_from_item
from aws_platform.reading import batch_get
from rating.account import Stage
from rating.schedule import Cycle, late_run_day

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SUB_ACCOUNT_BOUND = 1000
"""Sub-accounts of one account that statistics tell apart; further ones are counted under `OTHER`."""
RESULT_CODE_BOUND = 1000
"""Result codes of one account that statistics tell apart; further ones are counted under `OTHER`."""
NAME_BYTES = 150_000
"""Bytes of all sub-accounts, and of all result codes, that one account's dictionary has room for: with both full it
stays below the 400 KB of an item. A name without room is counted under `OTHER` like one beyond the bound."""
_REMEMBERED_ACCOUNTS = 20_000


@dataclass(slots=True)
class Names:
    """An account's numbers for sub-accounts and result codes. A number once given stays."""

    sub_accounts: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    _sub_account_room: int = field(init=False)
    _code_room: int = field(init=False)

    def __post_init__(self) -> None:
        """What is left of the room. It only shrinks: a name that once had no number never gets one."""
        self._sub_account_room, self._code_room = _room(self.sub_accounts), _room(self.codes)

    def sub_account(self, name: str) -> int | None:
        """The number of a sub-account; None when it has none yet."""
        if not name:
            return records.NO_NAME
        return _number(self.sub_accounts, name, SUB_ACCOUNT_BOUND, self._sub_account_room)

    def code(self, name: str) -> int | None:
        """The number of a result code; None when it has none yet."""
        return _number(self.codes, name, RESULT_CODE_BOUND, self._code_room)


def _number(numbers: Mapping[str, int], name: str, bound: int, room: int) -> int | None:
    number = numbers.get(name)
    if number is None and (len(numbers) >= bound or len(name.encode()) > room):
        return records.OTHER
    return number


def _room(numbers: Mapping[str, int]) -> int:
    return NAME_BYTES - sum(len(name.encode()) for name in numbers)


@dataclass(slots=True)
class Metered:
    """One account as metering sees it."""

    opened: bool
    opened_at: datetime | None = None
    cycle: Cycle | None = None
    names: Names = field(default_factory=Names)
    days: set[date] = field(default_factory=set)


class Directory:
    """Reads and extends what metering knows. One a process."""

    def __init__(
        self,
        reads: DynamoDBClient,
        writes: DynamoDBClient,
        usage_table: str,
        ledger_table: str,
        shards: int = keys.SHARDS,
    ) -> None:
        """`writes` must not send anything again by itself; see `clients.dynamodb_once`."""
        self._reads = reads
        self._writes = writes
        self._usage = usage_table
        self._shards = shards
        self._ledger = ledger_table
        self._accounts: dict[str, Metered] = {}

    def load(self, account_ids: Collection[str]) -> dict[str, Metered]:
        """The accounts that exist, by id. An account that is not open yet is read anew each time."""
        if len(self._accounts) > _REMEMBERED_ACCOUNTS:
            self._accounts.clear()
        unknown = [one for one in account_ids if one not in self._accounts]
        found = {one: self._accounts[one] for one in account_ids if one in self._accounts}
        if unknown:
            found.update(self._read(unknown))
        return found

    def _read(self, account_ids: Collection[str]) -> dict[str, Metered]:
        wanted = [(self._ledger, keys.ledger(one), keys.ACCOUNT) for one in account_ids]
        wanted += [(self._usage, keys.usage_account(one), keys.DICTIONARY) for one in account_ids]
        items = batch_get(self._reads, wanted)
        found: dict[str, Metered] = {}
        for account_id in account_ids:
            item = items.get((keys.ledger(account_id), keys.ACCOUNT))
            if item is None:
                continue
            account = account_from_item(item)
            metered = Metered(account.stage is Stage.OPENED, account.opened_at, account.cycle)
            names = items.get((keys.usage_account(account_id), keys.DICTIONARY))
            if names is not None:
                metered.names = _names_from_item(names)
            found[account_id] = metered
            if metered.opened:
                self._accounts[account_id] = metered
        return found

    def ensure_names(
        self, account_id: str, metered: Metered, sub_accounts: Iterable[str], codes: Iterable[str]
    ) -> None:
        """Give numbers to the names that have none yet. Raises TryAgainError when others contend for too long."""
        key = {"pk": {"S": keys.usage_account(account_id)}, "sk": {"S": keys.DICTIONARY}}
        sub_accounts, codes = list(sub_accounts), list(codes)
        for number in failures.attempts():
            if number:
                metered.names = read_names(self._reads, self._usage, account_id)
            names = metered.names
            new_subs = [name for name in dict.fromkeys(sub_accounts) if names.sub_account(name) is None]
            new_codes = [name for name in dict.fromkeys(codes) if names.code(name) is None]
            if not new_subs and not new_codes:
                return
            extended = Names(
                _extended(names.sub_accounts, new_subs, SUB_ACCOUNT_BOUND),
                _extended(names.codes, new_codes, RESULT_CODE_BOUND),
            )
            size = len(names.sub_accounts) + len(names.codes)
            absent, unchanged_since_read = "attribute_not_exists(pk)", "entries = :entries"
            condition: dict[str, Any] = (
                {
                    "ConditionExpression": unchanged_since_read,
                    "ExpressionAttributeValues": {":entries": {"N": str(size)}},
                }
                if size
                else {"ConditionExpression": absent}
            )
            try:
                self._writes.put_item(TableName=self._usage, Item={**key, **_names_to_item(extended)}, **condition)
            except Exception as error:
                if not failures.is_retriable(error):
                    raise
            else:
                metered.names = extended
                return
        msg = "too many writers for one dictionary"
        raise failures.TryAgainError(msg)

    def ensure_day(self, account_id: str, metered: Metered, day: date, now: datetime) -> None:
        """Put the day item, which leads the planner to the day, before the day's first bucket.

        It is due with the next run that takes the day, so that a closed month waits for the 1st (D4).
        Raises TryAgainError when it could not be put.
        """
        if day in metered.days:
            return
        if metered.cycle is None:
            msg = f"account {account_id} is not open"
            raise ValueError(msg)
        key = {"pk": {"S": keys.usage_account(account_id)}, "sk": {"S": keys.day_item(day)}}
        due = keys.due_sort_key(late_run_day(metered.cycle, day, now), account_id, keys.day_item(day))
        for _ in failures.attempts():
            if "Item" in self._reads.get_item(TableName=self._usage, Key=key, ConsistentRead=True):
                metered.days.add(day)
                return
            try:
                self._writes.put_item(
                    TableName=self._usage,
                    Item={**key, "due_pk": {"S": keys.shard_of(account_id, self._shards)}, "due_sk": {"S": due}},
                    ConditionExpression="attribute_not_exists(pk)",
                )
            except Exception as error:
                if not failures.is_retriable(error):
                    raise
            else:
                metered.days.add(day)
                return
        msg = "the day item could not be put"
        raise failures.TryAgainError(msg)


def read_names(dynamodb: DynamoDBClient, table: str, account_id: str) -> Names:
    """An account's dictionary; empty before its first usage."""
    key = {"pk": {"S": keys.usage_account(account_id)}, "sk": {"S": keys.DICTIONARY}}
    answer = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)
    return _names_from_item(answer.get("Item", {}))


def _extended(numbers: Mapping[str, int], new: list[str], bound: int) -> dict[str, int]:
    extended, room = dict(numbers), _room(numbers)
    for name in new:
        size = len(name.encode())
        if len(extended) < bound and size <= room:
            extended[name] = len(extended) + 1
            room -= size
    return extended


def _names_to_item(names: Names) -> dict[str, Any]:
    return {
        "sub_accounts": {"L": [{"S": name} for name in names.sub_accounts]},
        "codes": {"L": [{"S": name} for name in names.codes]},
        "entries": {"N": str(len(names.sub_accounts) + len(names.codes))},
    }


def _names_from_item(item: Mapping[str, Any]) -> Names:
    def numbered(attribute: str) -> dict[str, int]:
        listed = item.get(attribute, {"L": []})["L"]
        return {entry["S"]: number for number, entry in enumerate(listed, start=1)}

    return Names(numbered("sub_accounts"), numbered("codes"))
