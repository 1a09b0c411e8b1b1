"""The worker: settles what is due of one account, oldest first, one transaction a bill (D3, D4, D15, D19)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from aws_platform import bills, clients, clock, failures, keys, live
from aws_platform.accounts import account_put
from aws_platform.batches import answer_batch
from aws_platform.due import Due, DueDay, DueMonth, read_due
from aws_platform.forecast import Seen
from aws_platform.ledger import MAX_TRANSACTION_ITEMS, OutdatedError, journal_put, transact, up_to_date
from aws_platform.orders import retire
from aws_platform.pending import (
    TRANSACTION_TYPES,
    Counts,
    Pending,
    Usage,
    bill_prefix,
    cycle_of,
    pending_charges,
    together,
)
from aws_platform.price_book import read_catalog
from aws_platform.settings import Settings
from aws_platform.snapshot import Snapshot, change, read_snapshot, spend
from aws_platform.standing import Reader
from aws_platform.tasks import side_by_side
from rating import money
from rating.account import Account
from rating.bill import Bill, billed
from rating.catalog import Catalog
from rating.civil import business_instant, day_of, month_of
from rating.funds import owed, settle
from rating.schedule import begun_run_day
from rating.vouchers import choose
from settlement.late_marks import leave_mark, put_off, remove_mark
from settlement.messages import WARN
from settlement.warning import warn

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.usage_counts import DayCount

logger = Logger()

YOUNG_MARK = timedelta(minutes=1)
"""A mark and its bucket are one transaction, but readers may see them milliseconds apart; this is far longer."""


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Settle one account a message, then warn it if its balance is low; or, by its task `warn`, only that.

    What fails is delivered again, and in the end put aside with an alarm.
    """
    settings, dynamodb = Settings.from_environment(), clients.dynamodb()
    worker = Worker(dynamodb, settings, read_catalog(dynamodb, settings.ledger_table))
    reader = Reader(dynamodb, settings, worker.catalog)
    failed = []
    for record in event["Records"]:
        account_id = None
        try:
            message = json.loads(record["body"])
            account_id, now = message["account_id"], clock.now(settings, dynamodb)
            run = Settled() if message.get("task") == WARN else worker.settle_account(account_id, now)
            warned = warn(reader, account_id, now, run.seen)
        except Exception:
            logger.exception("settlement failed", account_id=account_id, message_id=record["messageId"])
            failed.append(record["messageId"])
        else:
            bill_ids = [bill.bill_id for bill in run.issued]
            logger.info("account settled", account_id=account_id, bills=bill_ids, warned=warned)
    return answer_batch("settlement", event["Records"], failed)


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling an account led to."""

    issued: Sequence[Bill] = ()
    """The bills that this call issued."""
    seen: Seen | None = None
    """The account as it was left; None where there is none."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Settles accounts. Any number may try the same one at once: one wins, the others find nothing to do."""

    dynamodb: DynamoDBClient
    settings: Settings
    catalog: Catalog

    def settle_account(self, account_id: str, now: datetime) -> Settled:
        """Settle all that runs up to `now` have to settle.

        Raises TryAgainError when other workers contended for too long.
        """
        now = business_instant(now)
        issued: list[Bill] = []
        for _ in failures.attempts():
            try:
                due = read_due(
                    self.dynamodb,
                    self.settings.usage_table,
                    self.settings.ledger_table,
                    account_id,
                    begun_run_day(now),
                )
                seen = self._settle(due, now, issued) if due else None
            except (OutdatedError, failures.TryAgainError):
                continue
            return Settled(issued, seen)
        msg = "too many writers for one account"
        raise failures.TryAgainError(msg)

    def _settle(self, due: Due, now: datetime, issued: list[Bill]) -> Seen:
        """Settle what is due, and add to what was issued."""
        snapshot, known = due.snapshot, dict[date, Sequence[Bill]]()
        for day in due.later:
            put_off(self.dynamodb, self.settings.usage_table, snapshot.account.account_id, day)
        for usage in together(snapshot.account, due.days):
            snapshot, before, bills_now = self._settle_usage(snapshot, usage, now)
            issued += bills_now
            known[usage.first_day] = [*before, *bills_now]
        account = snapshot.account
        for month in due.months:
            account, bill = self._close_month(account, month, now)
            issued.append(bill)
        return Seen(replace(snapshot, account=account), due.later, known)

    def _settle_usage(
        self, snapshot: Snapshot, usage: Usage, now: datetime
    ) -> tuple[Snapshot, Sequence[Bill], list[Bill]]:
        """Bill usage that no bill holds yet, if there is any, and leave its days to be verified.

        Gives the account afterwards, the bills of the usage that were there before, and those of this call.
        What was counted stays counted where the account changes meanwhile, so that no stream of changes, not even of
        orders, can keep a run from ever being faster than they are.
        """
        counts: Counts = {}
        for _ in failures.attempts():
            pending = pending_charges(
                self.dynamodb, self.settings, self.catalog, snapshot, usage, now, run=side_by_side, known=counts
            )
            issued: list[Bill] = []
            try:
                if pending.charges:
                    snapshot, bill = self._issue(snapshot, pending, now)
                    issued.append(bill)
                else:
                    self._leave_days(snapshot.account, usage.days, now)
            except (OutdatedError, failures.TryAgainError):
                account = snapshot.account
                current = up_to_date(
                    partial(read_snapshot, self.dynamodb, self.settings.ledger_table, account.account_id)
                )
                if current is None or _basis(current.account) != _basis(account):
                    raise
                snapshot = current
                continue
            self._tidy(snapshot.account, pending, now)
            return snapshot, pending.before, issued
        msg = "too many writers for one account"
        raise failures.TryAgainError(msg)

    def _issue(self, snapshot: Snapshot, pending: Pending, now: datetime) -> tuple[Snapshot, Bill]:
        """Deduct packages and charges and issue their bill, in one transaction."""
        account, table, usage = snapshot.account, self.settings.ledger_table, pending.usage
        now = account.booked_at(now)
        amounts = [charge.amount for charge in pending.charges]
        voucher = choose(snapshot.vouchers, owed(amounts), now)
        by_voucher = voucher.pays(owed(amounts)) if voucher else money.ZERO
        settled = settle(account.funds, amounts, by_voucher)
        bill_id = f"{bill_prefix(usage.first_day)}{account.version + 1}"
        told, notices = pending.told(snapshot, now)
        used = pending.wallets(told).values()
        # Beside the wallets: account, two for a voucher, bill, month, journal page, notices.
        kept, ended = retire(table, account.account_id, used, now, MAX_TRANSACTION_ITEMS - len(used) - 7)
        wallets = {wallet.tag: wallet for wallet in kept}
        spending = spend(table, account.account_id, voucher, by_voucher)
        after, items = change(
            self.settings,
            account,
            replace(
                account.with_funds(settled.funds, now, self.settings.release_after),
                settled_through=max(filter(None, (account.settled_through, usage.last_day))),
                last_bill=bill_id,
            ),
            now,
            [*wallets.values(), *spending.left],
            spending.removed,
            notices=notices,
        )
        bill = Bill(
            bill_id=bill_id,
            version=after.version,
            transaction_type=TRANSACTION_TYPES[cycle_of(account)],
            charged_at=now,
            charge_month=month_of(day_of(now)),
            first_day=usage.first_day,
            last_day=usage.last_day,
            charges=billed(pending.charges, settled.shares),
            counted=pending.counted(),
            voucher_id=voucher.voucher_id if voucher else None,
        )
        shard = keys.shard_of(account.account_id, self.settings.due_shards)
        items += [
            *spending.items,
            *ended,
            bills.bill_put(table, account.account_id, bill),
            bills.month_update(table, account.account_id, shard, bill),
        ]
        movements = [*spending.movements, *settled.movements]
        if movements:
            items.append(journal_put(table, after, now, "settlement", bill.bill_id, movements))
        room = MAX_TRANSACTION_ITEMS - len(items)
        transact(self.dynamodb, [*items, *self._day_updates(after, usage.days[:room], now)])
        # A month with many tags: what has no room follows afterwards, for there is nothing left to bill.
        self._leave_days(after, usage.days[room:], now)
        vouchers = (*(one for one in snapshot.vouchers if one is not voucher), *spending.left)
        return Snapshot(after, {**snapshot.wallets, **wallets}, snapshot.terms, vouchers), bill

    def _day_updates(self, account: Account, days: Sequence[DueDay], now: datetime) -> list[dict[str, Any]]:
        """The transaction items that take the days out of what waits for a run, and leave them to be verified.

        Also those that were settled before: whatever a bill takes more of a day is verified again.
        """
        table, account_id = self.settings.usage_table, account.account_id
        shard = keys.verify_shard(account_id, self.settings.due_shards)
        return [
            {
                "Update": {
                    "TableName": table,
                    "Key": {"pk": {"S": keys.usage_account(account_id)}, "sk": {"S": keys.day_item(due.day)}},
                    "UpdateExpression": "SET due_pk = :pk, due_sk = :sk",
                    "ExpressionAttributeValues": {
                        ":pk": {"S": shard},
                        ":sk": {"S": keys.verify_sort_key(day_of(now), account_id, due.day, account.version)},
                    },
                }
            }
            for due in days
        ]

    def _leave_days(self, account: Account, days: Sequence[DueDay], now: datetime) -> None:
        """Nothing to charge: the days are only left to be verified."""
        items = self._day_updates(account, days, now)
        if items:
            transact(self.dynamodb, items)

    def _tidy(self, account: Account, pending: Pending, now: datetime) -> None:
        """Keep the counted totals for views, then remove the late marks that nobody has raised since.

        A young mark is left for the next pass: what it was written with may not have been visible to the count. So is
        that of a day whose totals could not be kept, which would show an older count for good.
        """
        kept = {day for day, count in pending.counts.items() if self._keep_day(account, day, count)}
        for due in pending.usage.days:
            if due.raised is None:
                continue
            mark = (self.dynamodb, self.settings.usage_table, account.account_id, due.day, due.raised)
            done = due.day in kept and due.raised_before(now - YOUNG_MARK)
            if not (done and remove_mark(*mark)):
                leave_mark(*mark)

    def _keep_day(self, account: Account, day: date, count: DayCount) -> bool:
        """Keep a day's totals, if it can be done: they are a view only, and no run may fail for it."""
        expires_at = live.expiry(day, sandbox=self.settings.sandbox)
        table = self.settings.live_table
        try:
            live.put_day(self.dynamodb, table, account.account_id, day, count.dimensions, expires_at)
        except Exception:
            logger.exception("day totals not kept", account_id=account.account_id, day=day.isoformat())
            return False
        return True

    def _close_month(self, account: Account, month: DueMonth, now: datetime) -> tuple[Account, Bill]:
        """Issue the precision row of a month of charges that is over (D15)."""
        table = self.settings.ledger_table
        after = replace(account, version=account.version + 1)
        bill = bills.precision_bill(month.month, after.version, month.deducted, month.details, now)
        close = {
            "Update": {
                "TableName": table,
                "Key": {
                    "pk": {"S": keys.ledger(account.account_id)},
                    "sk": {"S": keys.month_item(month.month)},
                },
                "UpdateExpression": "SET closed = :now REMOVE due_pk, due_sk",
                "ConditionExpression": "attribute_not_exists(closed) AND details = :details AND deducted = :deducted",
                "ExpressionAttributeValues": {
                    ":now": {"S": now.isoformat()},
                    ":details": {"N": bills.number(month.details)},
                    ":deducted": {"N": bills.number(month.deducted)},
                },
            }
        }
        transact(
            self.dynamodb,
            [account_put(self.settings, account, after), bills.bill_put(table, account.account_id, bill), close],
        )
        return after, bill


def _basis(account: Account) -> tuple[object, ...]:
    """What the counts of a day, and which of them are on no bill yet, depend on."""
    return (account.conditions(), account.settled_through, account.last_bill)
