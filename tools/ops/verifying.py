"""Days computed again and compared, as the daily verification does it, with the answer on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from aws_platform import keys
from aws_platform.archive_check import MOST_PASSES, ArchiveCheck, Pass, TooManyCallsError
from aws_platform.price_book import read_catalog
from aws_platform.tasks import side_by_side
from aws_platform.verification import Verified, Verifier
from bills.verification import DELIVERY
from rating.civil import end_of
from rating.verification import Difference
from tools.ops.days import accounts_of
from tools.ops.stack import OpsError, Stack

TITLES = ("account", "day", "kind", "detail", "charged", "computed", "bill", "transaction", "tag", "")


def verify(stack: Stack, account_id: str, days: Sequence[date]) -> int:
    """Print what does not agree of an account's days, or of all accounts'; 1 where something does not."""
    now, settings = stack.now(), stack.settings
    catalog = read_catalog(stack.dynamodb, settings.ledger_table)
    verifier = Verifier(stack.dynamodb, settings, catalog, side_by_side)
    check = ArchiveCheck(stack.dynamodb, stack.s3, settings, catalog, side_by_side)
    verified = differing = 0
    print("\t".join(TITLES))
    for one in accounts_of(stack, account_id):
        for day in days:
            # Of several days of a month each bill is judged once, with its first day.
            found = verifier.verify(one, day, now, whole_month=len(days) == 1)
            differences = [*found.differences, *_archive(stack, check, found, now)]
            verified += 1
            differing += any(not each.pending for each in differences)
            for each in differences:
                print("\t".join(_line(one, day, each)))
    print(f"{verified} days verified, {differing} with differences")
    return 1 if differing else 0


def _archive(stack: Stack, check: ArchiveCheck, found: Verified, now: datetime) -> Iterator[Difference]:
    """How the archive differs from what is counted; nothing while the day goes on, or once it has left the archive."""
    end = end_of(found.day)
    if not end <= now < end + timedelta(days=stack.settings.archive_days - 1):
        return
    latest = max(filter(None, (end, found.charged_at)))
    passes = 1
    while True:
        try:
            compared = [
                one
                for number in range(passes)
                for one in check.compare(
                    found.day, keys.account_hash(found.account_id), [found.account_id], Pass(number, passes)
                )
            ]
        except TooManyCallsError as error:
            if passes == MOST_PASSES:
                msg = f"{found.account_id} has too many calls on {found.day} to be compared here"
                raise OpsError(msg) from error
            passes *= 2
            continue
        for one in compared:
            yield from one.differences(young=now < latest + DELIVERY)
        return


def _line(account_id: str, day: date, one: Difference) -> list[str]:
    told = (one.charged, one.computed, one.bill_id, one.transaction_id, one.tag)
    state = "pending" if one.pending else "DIFFERS"
    return [account_id, day.isoformat(), one.kind.value, one.detail, *(each or "-" for each in told), state]
