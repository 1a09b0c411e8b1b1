"""Settling now: one account, or whatever is due. Nothing is settled twice, however often it is asked for."""

from __future__ import annotations

from datetime import date

from aws_platform import failures, keys
from aws_platform.due import LOOK_BACK, read_due
from aws_platform.ledger import up_to_date
from aws_platform.queues import queue_messages
from rating.schedule import begun_run_day, run_day
from tools.ops.days import accounts_of, days_with_usage, first_in_reach, has_usage, the_account
from tools.ops.stack import OpsError, Stack

TASKS = {
    "plan": "PlannerFunction",
    "check": "PlannerFunction",
    "verify": "PlannerFunction",
    "sweep": "TimersFunction",
}
"""What the schedules do, and which function does it."""
_PAUSE_SECONDS = 0.5
_TOO_OLD = (
    f"no run looks more than {LOOK_BACK.days} days before the last settled day, so it would be due for ever; make "
    "ops-verify tells what no bill holds of it, and an adjustment charges that"
)


def settle(stack: Stack, account_id: str, days: list[date], *, dry: bool, wait: int) -> int:
    """Settle what is due of an account; 1 where something still is after so many seconds.

    Days that are named are looked at again: what no bill holds of them is charged, and nothing else.
    """
    first, used = first_in_reach(the_account(stack, account_id)), []
    for day in days:
        if has_usage(stack, account_id, day):
            _check_reach(account_id, day, first)
            used.append(day)
        else:
            print(f"{account_id}: no usage is stored of {day}")
    for day in used:
        print(f"{account_id}: {day} is due again: what no bill holds of it will be charged")
        if not dry:
            make_due(stack, account_id, day)
    due = _due(stack, account_id)
    print(f"{account_id}: {due or 'nothing'} to settle; a message to SettlementQueue has it done")
    if dry:
        return 0
    queue_messages(stack.sqs, stack.settings.settlement_queue_url, [{"account_id": account_id}])
    for _ in range(int(wait / _PAUSE_SECONDS)):
        due = _due(stack, account_id)
        if not due:
            through = the_account(stack, account_id).settled_through
            print(f"{account_id}: nothing is due; settled through {through or 'no day yet'}")
            return 0
        failures.sleep(_PAUSE_SECONDS)
    print(f"{account_id}: {due} still to settle: look at SettlementDeadLetterQueue and the log of settlement")
    return 1


def settle_all(stack: Stack, days: list[date], *, dry: bool) -> int:
    """Plan again: every account with something due gets its message. Days that are named are made due again first."""
    again = too_old = 0
    if days:
        for account_id in accounts_of(stack, ""):
            first = first_in_reach(the_account(stack, account_id))
            for day in days_with_usage(stack, account_id, days[0], days[-1]):
                if day < first:
                    too_old += 1
                    continue
                again += 1
                if not dry:
                    make_due(stack, account_id, day)
        print(f"{again} days of accounts are due again: what no bill holds of them will be charged")
        if too_old:
            print(f"{too_old} days of accounts are left: {_TOO_OLD}")
    return run_task(stack, "plan", dry=dry)


def run_task(stack: Stack, task: str, *, dry: bool) -> int:
    """Do now what a schedule does."""
    if task not in TASKS:
        msg = f"TASK is one of {', '.join(TASKS)}"
        raise OpsError(msg)
    print(f"{task}: calls {TASKS[task]} as its schedule does")
    if not dry:
        answer = stack.call(TASKS[task], {"task": task})
        print(f"{task}: {', '.join(f'{name} {value}' for name, value in answer.items())}")
    return 0


def make_due(stack: Stack, account_id: str, day: date) -> None:
    """Have the run that took a day look at it again. It bills only what no bill holds, so twice is harmless.

    Raises OpsError for a day that no run looks at any more.
    """
    account = the_account(stack, account_id)
    if account.cycle is None:
        msg = f"the service of {account_id} was never opened"
        raise OpsError(msg)
    _check_reach(account_id, day, first_in_reach(account))
    item = keys.day_item(day)
    stack.dynamodb.update_item(
        TableName=stack.settings.usage_table,
        Key={"pk": {"S": keys.usage_account(account_id)}, "sk": {"S": item}},
        UpdateExpression="SET due_pk = :pk, due_sk = :sk",
        ExpressionAttributeValues={
            ":pk": {"S": keys.shard_of(account_id, stack.settings.due_shards)},
            ":sk": {"S": keys.due_sort_key(run_day(account.cycle, day), account_id, item)},
        },
    )


def _check_reach(account_id: str, day: date, first: date) -> None:
    if day < first:
        msg = f"{account_id}: {day} is left: {_TOO_OLD}"
        raise OpsError(msg)


def _due(stack: Stack, account_id: str) -> str:
    """What runs up to now have to settle of an account, in words; empty where there is nothing."""
    settings = stack.settings

    def read() -> str:
        run = begun_run_day(stack.now())
        due = read_due(stack.dynamodb, settings.usage_table, settings.ledger_table, account_id, run)
        parts = [f"{one.day}" for one in due.days] + [f"closing {one.month}" for one in due.months] if due else []
        return ", ".join(parts)

    return up_to_date(read)
