"""`python -m tools.ops COMMAND`: what docs/operations.md tells the operator to run, through `make ops-...`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from aws_platform.archive_reading import BrokenArchiveError
from aws_platform.failures import TryAgainError
from tools.ops import archive_errors, pausing, redrive, replaying, restoring, settling, telling, totals, verifying
from tools.ops.days import read_day, read_days
from tools.ops.stack import OpsError, Stack
from tools.ops.status import status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

type Command = Callable[[Stack, argparse.Namespace], int]

COMMANDS: dict[str, tuple[str, Command]] = {
    "status": ("what waits, what failed, which alarms ring", lambda stack, _: status(stack)),
    "redrive": (
        "send dead letters back to where they came from (--queue)",
        lambda stack, asked: redrive.redrive(stack, asked.queue, dry=asked.dry, rate=asked.rate),
    ),
    "take-out": (
        "write one dead letter to a file and delete it (--queue, --message, --file)",
        lambda stack, asked: redrive.take_out(stack, asked.queue, asked.message, Path(asked.file), dry=asked.dry),
    ),
    "settle": (
        "settle an account now (--account), with --day or --from and --to what no bill holds of these days",
        lambda stack, asked: settling.settle(stack, asked.account, _days(asked), dry=asked.dry, wait=asked.wait),
    ),
    "settle-all": (
        "plan the settlement again, with --day or --from and --to of these days too",
        lambda stack, asked: settling.settle_all(stack, _days(asked), dry=asked.dry),
    ),
    "run": (
        f"do now what a schedule does (--task {', '.join(settling.TASKS)})",
        lambda stack, asked: settling.run_task(stack, asked.task, dry=asked.dry),
    ),
    "verify": (
        "compute days again and print the differences (--day or --month; --account, else all)",
        lambda stack, asked: verifying.verify(stack, asked.account, _some_days(asked)),
    ),
    "replay": (
        "report a day's calls again out of the archive (--day; --account, else all)",
        lambda stack, asked: replaying.replay(
            stack, read_day(asked.day), asked.account, dry=asked.dry, parallel=asked.parallel
        ),
    ),
    "archive-errors": (
        "hand the packs under errors/ to Firehose again (--prefix)",
        lambda stack, asked: archive_errors.lay_again(stack, asked.prefix, dry=asked.dry),
    ),
    "live": (
        "make live totals again (--account, else all; --day or --from and --to; --fresh)",
        lambda stack, asked: totals.rebuild(stack, asked.account, _days(asked), fresh=asked.fresh, dry=asked.dry),
    ),
    "republish": (
        "put notices on the bus again (--account, else all; --day or --from and --to)",
        lambda stack, asked: telling.republish(stack, asked.account, _some_days(asked), dry=asked.dry),
    ),
    "pause": (
        "stop schedules, consumers and functions",
        lambda stack, asked: pausing.pause(stack, dry=asked.dry),
    ),
    "resume": (
        "start them again, in new processes (--hold: this consumer stays off)",
        lambda stack, asked: pausing.resume(stack, hold=asked.hold, dry=asked.dry),
    ),
    "restore": (
        "restore a table to an instant, beside the live one (--table, --at)",
        lambda stack, asked: restoring.restore(stack, asked.table, asked.at, dry=asked.dry, wait=asked.wait),
    ),
    "compare": (
        "what the live table has lost against a restored one (--table, --restored; --account, else all)",
        lambda stack, asked: restoring.compare(stack, asked.table, asked.restored, asked.account),
    ),
    "put-back": (
        "put back what the live table has lost (--table, --restored; --account, else all)",
        lambda stack, asked: restoring.put_back(stack, asked.table, asked.restored, asked.account, dry=asked.dry),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    asked = _parser().parse_args(arguments)
    stack = Stack(asked.stack, asked.endpoint)
    try:
        return COMMANDS[asked.command][1](stack, asked)
    except (OpsError, BrokenArchiveError, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
    except TryAgainError:
        print("others were faster all the time: repeat the command", file=sys.stderr)
    return 2


def _days(asked: argparse.Namespace) -> list[date]:
    """The days that are named; none if none are."""
    return _some_days(asked) if asked.day or asked.first or asked.last or asked.month else []


def _some_days(asked: argparse.Namespace) -> list[date]:
    return read_days(asked.day, asked.first, asked.last, asked.month)


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:16}{about}" for name, (about, _) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        description=f"{(__doc__ or '').strip()}\n\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("--stack", default="zhangben", help="the stack that is operated")
    parser.add_argument("--endpoint", default="", help="another endpoint than AWS's")
    parser.add_argument("--dry", action="store_true", help="only say what would be done")
    for name in ("account", "day", "month", "queue", "message", "file", "task", "table", "restored", "hold"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--from", dest="first", default="", help="the first day")
    parser.add_argument("--to", dest="last", default="", help="the last day, included")
    parser.add_argument("--prefix", default=replaying.ERRORS, help="the folder of the archive's errors")
    parser.add_argument("--at", default=restoring.LATEST, help="the instant of a restore, with its zone")
    parser.add_argument("--fresh", action="store_true", help="from nothing")
    parser.add_argument("--rate", type=float, default=50, help="dead letters a second")
    parser.add_argument("--parallel", type=int, default=4, help="requests at once")
    parser.add_argument("--wait", type=int, default=60, help="seconds to wait for the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
