"""The operator's commands against the local cloud: each mends what it is for.

Every test has an account of its own. All have used one day, which is settled; the copies of the tables are from before.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from aws_platform import keys
from local.cloud import LocalCloud
from local.emulator import REGION
from local.story import Teller, one_instant, open_account
from tools import reconcile
from tools.ops import settling
from tools.ops.__main__ import main
from tools.ops.redrive import ways
from tools.ops.stack import MAPPING, QUEUE, Stack

BEGIN, MORNING = "2025-03-01T08:30:00+08:00", "2025-03-02T09:00:00+08:00"
WHEN, DAY = "2025-03-01T08:29:00+08:00", "2025-03-01"
INTERFACE, TAG = "api.phone_2e", "phone_two_factor"
OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
OTHER_TAG, GIFTS = "plus_authority_app", "/v1/accounts/kept/packages"
CALLS = 3
ACCOUNTS = ("kept", "late", "replayed", "restored", "ruined", "told")


@dataclass(frozen=True)
class Operated:
    """A running cloud, who speaks to it, and the copies of its tables from before the settlement."""

    cloud: LocalCloud
    teller: Teller
    copies: Mapping[str, str]

    def ops(self, command: str, **options: str) -> int:
        """Run a command; its exit code. An option without a value is a switch."""
        words = [word for name, value in options.items() for word in (f"--{name.rstrip('_')}", value) if word]
        return main([command, *words, "--endpoint", self.cloud.emulator.url])

    def items(self, table: str, partition: str) -> list[dict[str, Any]]:
        """What lies in a partition."""
        answer = self.cloud.client("dynamodb").query(
            TableName=self.cloud.resources[table],
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
        )
        items: list[dict[str, Any]] = answer["Items"]
        return items

    def lose(self, table: str, partition: str) -> None:
        """Delete all that lies in a partition."""
        dynamodb, name = self.cloud.client("dynamodb"), self.cloud.resources[table]
        for item in self.items(table, partition):
            dynamodb.delete_item(TableName=name, Key={"pk": item["pk"], "sk": item["sk"]})

    def lines(self, account_id: str) -> list[int]:
        """The charged quantities of an account's lines of usage."""
        items = self.teller.customer(account_id, "/bills/details", month="2025-03", tag=TAG)["items"]
        return [one["quantity"] for one in items]

    def send(self, queue: str, body: object) -> str:
        """Put a message on a queue; its id."""
        sqs = self.cloud.client("sqs")
        answer = sqs.send_message(QueueUrl=self.cloud.resources[queue], MessageBody=json.dumps(body))
        return str(answer["MessageId"])

    def stream_of(self, table: str) -> tuple[str, str, list[Any]]:
        """A table's stream, its shard, and its records."""
        streams, dynamodb = self.cloud.client("dynamodbstreams"), self.cloud.client("dynamodb")
        arn = dynamodb.describe_table(TableName=self.cloud.resources[table])["Table"]["LatestStreamArn"]
        shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][-1]["ShardId"]
        begin = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        return arn, shard, streams.get_records(ShardIterator=begin["ShardIterator"])["Records"]


def calls(account_id: str, prefix: str = "a", number: int = CALLS) -> list[dict[str, Any]]:
    """Calls of the one day."""
    return one_instant(account_id, WHEN, INTERFACE, prefix, number)


@pytest.fixture(scope="module")
def operated() -> Iterator[Operated]:
    """The cloud on the morning after the day, with every account settled."""
    credentials = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }
    with ExitStack() as ending:
        ending.enter_context(mock.patch.dict("os.environ", credentials))
        cloud = ending.enter_context(LocalCloud(clock=BEGIN))
        teller = ending.enter_context(Teller(cloud))
        for one in ACCOUNTS:
            open_account(teller, one, "Example", "0.01" if one == "told" else "100.00", "2025-01-01T00:00:00+08:00")
        teller.report([one for account_id in ACCOUNTS for one in calls(account_id)])
        teller.operator("POST", GIFTS, {"tag": OTHER_TAG, "calls": 1, "reason": "example"}, "gift")
        names = {table: cloud.resources[f"{table.title()}Table"] for table in ("ledger", "usage")}
        made = Operated(cloud, teller, {table: f"{name}-latest" for table, name in names.items()})
        for table in names:
            assert made.ops("restore", table=table) == 0
        teller.move_to(MORNING)
        yield made


# Dead letters


def test_letters_are_shown_taken_out_and_sent_back(
    operated: Operated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Letters are told by ids alone; one is taken out into a file; the other is worked off by the queue it is for."""
    stack, queue = Stack("zhangben", operated.cloud.emulator.url), "SettlementDeadLetterQueue"
    settling.make_due(stack, "kept", date.fromisoformat(DAY))
    poison = operated.send(queue, {"account_id": "nobody", "email": "secret@example.com"})
    operated.send(queue, {"account_id": "kept"})
    kept = {"queue": queue, "message": poison, "file": str(tmp_path / "letter.json")}
    assert operated.ops("status") == 0
    for command, options in (("redrive", {"queue": queue}), ("take-out", kept)):
        assert operated.ops(command, **options, dry="") == 0
    told = capsys.readouterr().out
    assert f"2 in {queue}" in told
    assert "1, the oldest since 2025-03-02" in told
    assert "account_id kept" in told
    assert "secret" not in told
    assert operated.ops("take-out", **kept) == 0
    assert "secret" in (tmp_path / "letter.json").read_text(encoding="utf-8")
    assert operated.ops("take-out", **kept) == 1
    assert operated.ops("redrive", queue=queue) == 0
    operated.cloud.driver.drain()
    assert operated.ops("run", task="check") == 0
    told = capsys.readouterr().out
    assert f"{queue}: 1 sent back, 0 stay, 0 are there now" in told
    assert "unsettled 0" in told
    assert operated.lines("kept") == [CALLS]


def test_schedules_and_slips(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """What a schedule or an asynchronous call could not do is called again; what is no such queue is said so."""
    operated.send("PlannerDeadLetterQueue", {"task": "check"})
    operated.send("PlannerDeadLetterQueue", {"requestContext": {}, "requestPayload": {"task": "nothing"}})
    assert operated.ops("redrive", queue="PlannerDeadLetterQueue") == 0
    assert "2 sent back" in capsys.readouterr().out
    assert operated.ops("redrive", queue="SettlementQueue") == 2
    assert operated.ops("settle", account="nobody") == 2
    assert "there is no account nobody" in capsys.readouterr().err


def test_every_queue_of_dead_letters_knows_its_way(operated: Operated) -> None:
    """Letters of each such queue of the deployed stack can be sent back, and those of no other."""
    stack = Stack("zhangben", operated.cloud.emulator.url)
    assert set(ways(stack)) == {name for name in stack.of_type(QUEUE) if "DeadLetter" in name}


def test_positions_in_a_stream(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """Records at a position go to the function again; where the stream has forgotten them the letter stays."""
    operated.cloud.driver.drain()
    operated.lose("LiveTable", keys.windows("kept"))
    operated.lose("LiveTable", keys.usage_account("kept"))
    arn, shard, records = operated.stream_of("UsageTable")
    (place,) = [one for one in records if one["dynamodb"]["Keys"]["pk"]["S"] == "kept#20250301"]
    number = place["dynamodb"]["SequenceNumber"]
    position = {
        "shardId": shard,
        "startSequenceNumber": number,
        "endSequenceNumber": number,
        "batchSize": 1,
        "streamArn": arn,
    }
    operated.send("RollupDeadLetterQueue", {"DDBStreamBatchInfo": position})
    assert operated.ops("redrive", queue="RollupDeadLetterQueue") == 0
    assert usage_shown(operated, "kept") == CALLS
    forgotten = operated.send("RollupDeadLetterQueue", {"DDBStreamBatchInfo": {**position, "streamArn": f"{arn}0"}})
    assert operated.ops("redrive", queue="RollupDeadLetterQueue") == 1
    assert f"stays: {forgotten}: the stream has forgotten" in capsys.readouterr().out
    operated.lose("LiveTable", keys.windows("kept"))
    assert operated.ops("live", account="kept", fresh="") == 0
    assert usage_shown(operated, "kept") == CALLS


def test_a_position_among_the_notices(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """Notices at a position of the ledger's stream are published again, and nobody gets one twice."""
    operated.cloud.driver.drain()
    before, sent = of_account(operated, "told"), operated.teller.messages()
    arn, shard, records = operated.stream_of("LedgerTable")
    own = [one["dynamodb"] for one in records if one["dynamodb"]["Keys"]["pk"]["S"] == keys.ledger("told")]
    numbers = [one["SequenceNumber"] for one in own if one["Keys"]["sk"]["S"].startswith(keys.NOTICE_PREFIX)]
    assert numbers
    position = {
        "shardId": shard,
        "startSequenceNumber": numbers[0],
        "endSequenceNumber": numbers[0],
        "batchSize": 1,
        "streamArn": arn,
    }
    operated.send("PublishDeadLetterQueue", {"DDBStreamBatchInfo": position})
    assert operated.ops("redrive", queue="PublishDeadLetterQueue") == 0
    operated.cloud.driver.drain()
    assert "whose records go to PublishFunction again" in capsys.readouterr().out
    assert len(of_account(operated, "told")) > len(before)
    assert operated.teller.messages() == sent


def test_usage_that_was_refused_is_counted(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """Events of the queue whose account was not opened come back, once it is, and are counted and charged once."""
    operated.send("UsageQueue", calls("newcomer"))
    operated.cloud.driver.drain()
    queue = {"queue": "UsageDeadLetterQueue"}
    assert operated.ops("redrive", **queue, dry="") == 0
    assert f"refused: unknown_account, {CALLS} events" in capsys.readouterr().out
    assert operated.ops("redrive", **queue) == 0
    operated.cloud.driver.drain()
    assert operated.ops("redrive", **queue, dry="") == 0
    assert f"refused: unknown_account, {CALLS} events" in capsys.readouterr().out, "too early: it is there again"
    open_account(operated.teller, "newcomer", "Example", "100.00", "2025-01-01T00:00:00+08:00")
    assert operated.ops("redrive", **queue) == 0
    operated.cloud.driver.drain()
    assert f"{queue['queue']}: 1 sent back, 0 stay, 0 are there now" in capsys.readouterr().out
    assert operated.teller.report(calls("newcomer"))["duplicate"] == CALLS
    assert operated.ops("settle", account="newcomer", day=DAY) == 0
    assert operated.lines("newcomer") == [CALLS]


def usage_shown(operated: Operated, account_id: str) -> int:
    """The calls of the day, as the live totals have them."""
    items = operated.teller.customer(account_id, "/usage", from_=DAY, to=DAY)["items"]
    return sum(one["calls"] for one in items)


# Schedules


@pytest.mark.parametrize("task", settling.TASKS)
def test_what_a_schedule_does_is_done_now(operated: Operated, capsys: pytest.CaptureFixture[str], task: str) -> None:
    """Every task of the schedules runs when the operator says so, and answers with its counts."""
    assert operated.ops("run", task=task) == 0
    assert re.search(rf"^{task}: \w+ \d+", capsys.readouterr().out, re.MULTILINE)


# Money


def test_what_no_bill_holds_is_settled(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """A day that is settled again is charged for what came late, and nothing twice."""
    operated.teller.report(calls("late", "b", 2))
    assert operated.ops("settle", account="late", day=DAY) == 0
    assert operated.ops("settle-all", from_=DAY, to=DAY) == 0
    operated.cloud.driver.drain()
    assert operated.lines("late") == [CALLS, 2]
    assert operated.ops("verify", account="late", month="2025-03") == 0
    assert "DIFFERS" not in capsys.readouterr().out


def test_a_lost_bucket_is_found_and_replayed(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """Verification finds calls that the table has lost; the archive has them still, whatever a process remembers."""
    lost = keys.usage_day("replayed", date.fromisoformat(DAY))
    assert operated.teller.report(calls("replayed"))["duplicate"] == CALLS
    operated.lose("UsageTable", lost)
    assert operated.teller.report(calls("replayed"))["duplicate"] == CALLS, "the process remembers"
    assert operated.ops("verify", account="replayed", day=DAY) == 1
    assert "archived, not counted" in capsys.readouterr().out
    assert operated.ops("replay", account="replayed", day=DAY, dry="") == 0
    assert operated.items("UsageTable", lost) == []
    assert operated.ops("replay", account="replayed", day=DAY) == 0
    assert f"{CALLS} accepted, 0 duplicate, 0 conflict" in capsys.readouterr().out
    assert operated.ops("verify", account="replayed", day=DAY) == 0
    assert operated.ops("settle", account="replayed", day=DAY) == 0
    assert operated.lines("replayed") == [CALLS]


def test_a_lost_account_is_put_back(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """An account comes back as it was in the copy; what it paid in since is entered again, what it used is charged."""
    path, amount = "/v1/accounts/ruined/top-ups", {"fund": "cash", "amount": "5.00"}
    operated.teller.operator("POST", path, amount, "after")
    right = operated.teller.customer("ruined", "")["balance"]
    operated.lose("LedgerTable", keys.ledger("ruined"))
    copy = {"table": "ledger", "restored": operated.copies["ledger"], "account": "ruined"}
    assert operated.ops("compare", **copy) == 1
    assert operated.ops("put-back", **copy, dry="") == 0
    assert operated.items("LedgerTable", keys.ledger("ruined")) == []
    assert operated.ops("put-back", **copy) == 0
    assert operated.ops("compare", **copy) == 0
    operated.teller.operator("POST", path, amount, "after")
    assert operated.ops("settle", account="ruined", from_=DAY, to=DAY) == 0
    assert operated.teller.customer("ruined", "")["balance"] == right
    assert operated.lines("ruined") == [CALLS]
    assert operated.ops("verify", account="ruined", day=DAY) == 0
    ledger = ["--account", "ruined", "--endpoint", operated.cloud.emulator.url]
    assert reconcile.main(ledger) == 0
    assert "1 account" in capsys.readouterr().out


def test_what_has_changed_since_stays(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """A package that was blocked after the copy is neither lost nor to be looked at, and stays blocked."""
    (given,) = operated.teller.customer("kept", "/packages", tag=OTHER_TAG)["items"]
    block = f"{GIFTS}/{given['package_id']}/refund-block"
    operated.teller.operator("PUT", block, {"blocked": True, "reason": "example"})
    before = operated.items("LedgerTable", keys.ledger("kept"))
    copy = {"table": "ledger", "restored": operated.copies["ledger"], "account": "kept"}
    assert operated.ops("compare", **copy) == 0
    assert operated.ops("put-back", **copy) == 0
    assert "0 items put back, 0 left" in capsys.readouterr().out
    assert operated.items("LedgerTable", keys.ledger("kept")) == before


def test_the_page_brings_an_account_back(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's commands, in its order, mend an account that both tables lost; nothing is missing, nothing twice."""
    right = operated.teller.customer("restored", "")["balance"]
    assert follow(operated, "put-back", {"table": "usage", "restored": "any"}) == 2, "it is not paused"
    operated.lose("LedgerTable", keys.ledger("restored"))
    operated.lose("UsageTable", keys.usage_day("restored", date.fromisoformat(DAY)))
    operated.lose("UsageTable", keys.usage_account("restored"))
    found = set()
    try:
        for command, options in the_page("A table as it was"):
            if follow(operated, command, options):
                found.add(command)
            if command == "pause":
                assert operated.ops("resume", hold="nothing") == 2
            if command == "pause" or "hold" in options:
                assert operated.ops("status") == 0
    except BaseException:
        operated.ops("resume")
        raise
    told = capsys.readouterr().out
    assert found == {"compare"}, told
    assert "PAUSED" in told
    assert told.count("CONSUMER OFF") == len(Stack("zhangben", operated.cloud.emulator.url).of_type(MAPPING)) + 1
    assert told.count("SettlementFunctionQueue: Disabled") == 2
    assert told.count("1 account 1 journal-pages 1 requests") == 3, "compared, put back dry, put back"
    assert "lost: 1 buckets 1 days 1 names" in told
    assert f"0 accepted, {CALLS} duplicate" in told
    assert operated.teller.report(calls("restored"))["duplicate"] == CALLS
    assert operated.lines("restored") == [CALLS]
    assert operated.teller.customer("restored", "")["balance"] == right


def the_page(title: str) -> list[tuple[str, dict[str, str]]]:
    """The commands of a section's first block, each with its options."""
    section = OPERATIONS.partition(f"## {title}\n")[2]
    block = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[0]
    found = []
    for line in block.splitlines():
        _, target, *given = line.split()
        pairs = (one.split("=") for one in given)
        options = {name.lower(): "" if name == "DRY" else value for name, value in pairs}
        found.append((target.removeprefix("ops-"), options))
    return found


def follow(operated: Operated, command: str, options: Mapping[str, str]) -> int:
    """Run a command of the page for the one account, with the copies that there are; its exit code."""
    if command == "reconcile":
        return reconcile.main(["--account", "restored", "--endpoint", operated.cloud.emulator.url])
    named = dict(options)
    if "restored" in named:
        named["restored"] = operated.copies[named["table"]]
    if "at" in named:
        named["at"] = "latest"
    code = operated.ops(command, account="restored", **named)
    if command == "settle-all":
        operated.cloud.driver.drain()
    return code


# The archive, and people


def test_what_firehose_could_not_lay_away(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """Packs under errors/ go to the stream once more, and then lie where they are looked for."""
    s3, bucket = operated.cloud.client("s3"), operated.cloud.resources["ArchiveBucket"]
    place = f"calls/day={DAY}/account_hash={keys.account_hash('kept')}/"
    names = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=place)["Contents"]]
    packs = [s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names]
    (own,) = [pack for pack in packs if b'"kept"' in pack]
    s3.delete_object(Bucket=bucket, Key=names[packs.index(own)])
    folder = "errors/processing-failed/2025/03/01/"
    line = json.dumps({"rawData": base64.b64encode(own.rstrip()).decode()})
    s3.put_object(Bucket=bucket, Key=f"{folder}1", Body=gzip.compress(f"{line}\n".encode()))
    assert operated.ops("verify", account="kept", day=DAY) == 1
    assert operated.ops("archive-errors", prefix=folder, dry="") == 0
    assert operated.ops("archive-errors", prefix="calls/") == 2
    assert operated.ops("archive-errors", prefix=folder) == 0
    assert operated.ops("verify", account="kept", day=DAY) == 0
    assert "1 packs handed to the stream" in capsys.readouterr().out


def test_notices_are_published_again(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    """What an account was told is on the bus once more, and nobody gets it twice."""
    operated.cloud.driver.drain()
    before, sent = of_account(operated, "told"), operated.teller.messages()
    notices = {one["detail"]["notice_id"] for one in before}
    assert notices
    days = {"account": "told", "from_": DAY, "to": "2025-03-02"}
    assert operated.ops("republish", **days, dry="") == 0
    assert operated.ops("republish", **days) == 0
    operated.cloud.driver.drain()
    assert f"{len(notices)} notices are on the bus" in capsys.readouterr().out
    assert len(of_account(operated, "told")) == len(before) + len(notices)
    assert operated.teller.messages() == sent


def of_account(operated: Operated, account_id: str) -> list[dict[str, Any]]:
    """The events of the bus about an account."""
    return [one for one in operated.teller.events() if one["detail"]["account_id"] == account_id]
