"""The pieces of work that are priced: what calls, accounts, readers and the clock have the product do."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_platform import archive_reading, clients, keys, records
from aws_platform.verify_messages import archive_message, charges_message
from bench import canned, prepaid, reading, traffic
from bench.metering import Case
from bench.rollup import Rollup, stream_record
from bench.scene import Scene
from bench.stage import Piece, Stage, queue_event
from ingest import handler as ingest
from rating.catalog import load
from rating.civil import start_of

if TYPE_CHECKING:
    from bench.capacity import Item

DAY = date(2025, 3, 3)
MORNING = start_of(DAY) + timedelta(days=1, hours=8, seconds=12)
FIRST = datetime.fromisoformat("2025-04-01T08:00:12+08:00")
MONTHLY_SINCE = datetime.fromisoformat("2022-06-01T09:00:00+08:00")
RICH, POOR = Decimal(1_000_000), Decimal(1_000)
ACCOUNTS = 10
"""Of one message batch of the settlement."""
MONTHLY = 4
"""Of them, those that are monthly in a case of its own."""
CALLS = 1_000
"""Of a usual day of an account."""
OTHERS = 250
"""Accounts of which each has one call in a batch."""
NAMES = {
    1_000: "calls in batches of 1,000 at 1,000/s",
    100: "calls in batches of 100 at 10/s",
    10: "calls in batches of 10 at 1/s",
    1: "single calls, 100 a day",
}
EACH_OTHER = "calls in batches, each of another account"
FEW = "a day settled: 1,000 calls of 3 tags"
ALL_TAGS = "a day settled: 1,000 calls of 32 tags"
MONTH = "a month settled: 31 days of 100 calls"
CLOSED = "a month closed on the 1st"
VERIFIED = "a day verified: 1,000 calls"
NOTICE = "a notice, by e-mail"
PAGE, OVERVIEW = "a page of a bill", "an overview of a month"
CHECK, ORDER = "an entitlement check", "an order of a package"
SWEEP, PLAN = "a sweep with nothing due", "a plan with nothing due"


def pieces() -> Iterator[Piece]:
    """All of them."""
    for size, rate, seconds in ((1_000, 1_000, 20), (100, 10, 200), (10, 1, 200)):
        case = Case(rate, size, seconds)
        yield Piece(NAMES[size], rate * seconds, _open, partial(_meter, case))
    yield Piece(NAMES[1], 100, _open, _single)
    yield Piece(EACH_OTHER, 2 * OTHERS, _open_others, _meter_others, at_once=8)
    yield Piece(FEW, ACCOUNTS, _used, _settle)
    yield Piece(ALL_TAGS, ACCOUNTS, _used_all_tags, _settle)
    yield Piece(MONTH, MONTHLY, _used_month, _settle_month)
    yield Piece(CLOSED, ACCOUNTS, _charged_once, _close_month)
    yield Piece(VERIFIED, ACCOUNTS, _settled, _verify)
    yield Piece(NOTICE, ACCOUNTS, _warned, _notify)
    yield Piece(PAGE, 5, _billed, partial(_ask, "details?month=2025-03"))
    yield Piece(OVERVIEW, 5, _billed, partial(_ask, "overview?month=2025-03"))
    yield Piece(CHECK, 5, _stocked, _check)
    yield Piece(ORDER, 5, _stocked, _order)
    yield Piece(SWEEP, 5, _open, partial(_schedule, "TimersFunction", "sweep"))
    yield Piece(PLAN, 5, _open, partial(_schedule, "PlannerFunction", "plan"))


# --- Calls


def _open(scene: Scene) -> None:
    scene.open_account(traffic.account(0), RICH)


def _meter(case: Case, stage: Stage) -> None:
    _send(stage, case.batches())


def _single(stage: Stage) -> None:
    apart = timedelta(minutes=14)
    made = traffic.calls(100, start_of(DAY), apart, mixed=True)
    _send(stage, traffic.batches(made, 1))


def _open_others(scene: Scene) -> None:
    """Many accounts, of which each has had a call today."""
    for number in range(OTHERS):
        scene.open_account(traffic.account(number), RICH)
    (batch,) = _of_others(9)
    scene.now = batch.at
    ingest.handle(traffic.request(batch.body()), None)


def _meter_others(stage: Stage) -> None:
    _send(stage, (batch for hour in (10, 11) for batch in _of_others(hour)))


def _of_others(hour: int) -> Iterator[traffic.Batch]:
    start = start_of(DAY) + timedelta(hours=hour)
    made = traffic.calls(OTHERS, start, timedelta(milliseconds=10), mixed=True, accounts=OTHERS, prefix=f"{hour:05d}")
    return traffic.batches(made, OTHERS)


def _send(stage: Stage, batches: Iterator[traffic.Batch]) -> None:
    rollup = Rollup(stage.scene, partial(stage.invoke, "RollupFunction"))
    for batch in batches:
        stage.scene.now = batch.at
        rollup.until(batch.at)
        stage.invoke("IngestFunction", traffic.request(batch.body()))
        rollup.written(batch.at)
    rollup.flush()


# --- Days


def _accounts(number: int = ACCOUNTS) -> list[str]:
    return [traffic.account(one) for one in range(number)]


def _use(scene: Scene, account_id: str, day: date, calls: int, size: int = 50) -> None:
    """Have the ingest function store a day's calls, in batches that are ten seconds apart."""
    made = traffic.calls(calls, start_of(day) + timedelta(hours=9), timedelta(seconds=10) / size, mixed=True)
    scene.now = start_of(day) + timedelta(hours=23, minutes=59)
    for batch in traffic.batches((replace(call, account_id=account_id) for call in made), CALLS):
        ingest.handle(traffic.request(batch.body()), None)


def _used(scene: Scene, cash: Decimal = RICH) -> None:
    """Accounts of which a day was settled before, and then a usual one was used."""
    for account_id in _accounts():
        scene.open_account(account_id, cash)
        _use(scene, account_id, DAY - timedelta(days=1), 1)
    scene.now = MORNING - timedelta(days=1)
    _handle("SettlementFunction", _messages())
    for account_id in _accounts():
        _use(scene, account_id, DAY, CALLS)


def _charged_once(scene: Scene) -> None:
    """Accounts with a bill in the month that is over, and nothing to settle."""
    for account_id in _accounts():
        scene.open_account(account_id, RICH)
        _use(scene, account_id, DAY, 100)
    scene.now = MORNING
    _handle("SettlementFunction", _messages())


def _used_all_tags(scene: Scene) -> None:
    """The same, with the calls spread over the interfaces of all tags."""
    _used(scene)
    interfaces = list({one.tag: one for one in load().interfaces}.values())
    for account_id in _accounts():
        for number in range(CALLS // 10):
            kinds = [interfaces[(number * 10 + place) % len(interfaces)] for place in range(10)]
            scene.put_all(scene.names["UsageTable"], [_bucket(account_id, number, [one.number for one in kinds])])


def _bucket(account_id: str, slot: int, kinds: Sequence[int]) -> Item:
    """A bucket as the ingest function stores it, of calls that are charged."""
    dimensions = [records.Dimensions(kind, chargeable=True, code=1, sub_account=1).pack() for kind in kinds]
    content = b"".join(
        records.identity("/gateway", str(number), slot, "") + records.pack_data(packed, 1, "team-a", "0")
        for number, packed in enumerate(dimensions)
    )
    return {
        "pk": {"S": keys.usage_day(account_id, DAY)},
        "sk": {"S": records.bucket_key(slot, "/gateway", 0)},
        "r": {"B": content},
        "c": {"B": records.pack_counts(records.count_records(content))},
    }


def _used_month(scene: Scene) -> None:
    """Monthly accounts with a month behind them of which every day was used."""
    for account_id in _accounts(MONTHLY):
        scene.open_account(account_id, RICH, MONTHLY_SINCE)
        for number in range(31):
            _use(scene, account_id, date(2025, 3, 1 + number), 100)


def _settle(stage: Stage) -> None:
    stage.scene.now = MORNING
    _run(stage)


def _settle_month(stage: Stage) -> None:
    stage.scene.now = FIRST
    _run(stage, MONTHLY)


def _close_month(stage: Stage) -> None:
    stage.scene.now = FIRST
    _run(stage)


def _run(stage: Stage, accounts: int = ACCOUNTS) -> None:
    stage.invoke("SettlementFunction", _messages(accounts))
    # The planner sent the messages, ten in a call.
    stage.also("SettlementFunction", {"sqs_requests": 1})


def _messages(accounts: int = ACCOUNTS) -> dict[str, Any]:
    return queue_event([{"account_id": account_id} for account_id in _accounts(accounts)])


def _handle(function: str, event: Any) -> Any:
    return prepaid.handler_of(function)(event, None)


# --- After the settlement


def _settled(scene: Scene) -> None:
    """The usual day, settled; its calls lie in the archive as Firehose lays them there."""
    taken: list[bytes] = []
    _others(scene)

    def take(params: Mapping[str, Any], **_: Any) -> None:
        taken.extend(record["Data"] for record in params.get("Records", ()))

    clients.firehose().meta.events.register("provide-client-params.firehose.*", take)
    _used(scene)
    scene.now = MORNING
    _handle("SettlementFunction", _messages())
    by_part: dict[str, list[bytes]] = defaultdict(list)
    for pack in taken:
        if DAY.isoformat().encode() in pack[:40]:
            account_id = pack.partition(b'"account_id":"')[2].partition(b'"')[0].decode()
            by_part[keys.account_hash(account_id)].append(pack + b"\n")
    for part, packs in by_part.items():
        place = f"{archive_reading.folder(DAY, part)}one"
        clients.s3().put_object(Bucket=os.environ["ARCHIVE_BUCKET"], Key=place, Body=b"".join(packs))


def _others(scene: Scene) -> None:
    """What the product needs beside its tables."""
    bucket = f"archive-{scene.names['LedgerTable'].lower()}"
    clients.s3().create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-southeast-1"})
    clients.events().create_event_bus(Name=bucket)
    url = clients.sqs().create_queue(QueueName=bucket)["QueueUrl"]
    canned.without_network(clients.sesv2(), lambda _: b'{"MessageId":"1"}')
    os.environ |= {
        "ARCHIVE_BUCKET": bucket,
        "BUS_NAME": bucket,
        "VERIFICATION_QUEUE_URL": url,
        "SENDER_EMAIL": "sender@example.com",
    }


def _verify(stage: Stage) -> None:
    stage.scene.now = MORNING + timedelta(hours=5)
    parts = {keys.account_hash(account_id): account_id for account_id in _accounts()}
    for account_id in parts.values():
        entry = keys.verify_sort_key(stage.scene.now.date(), account_id, DAY, 1)
        stage.invoke("VerificationFunction", queue_event([archive_message(entry)]))
    for account_id in _accounts():
        stage.invoke("VerificationFunction", queue_event([charges_message(account_id, DAY)]))


def _warned(scene: Scene) -> None:
    """Accounts whose balance will not last; each has an address."""
    _others(scene)
    _used(scene, POOR)
    for account_id in _accounts():
        body = {"emails": [f"{account_id}@example.com"], "phones": [], "locale": "en", "daily_report": False}
        scene.now = MORNING
        prepaid.call(scene, "PUT", f"/v1/accounts/{account_id}/notice-subscriptions", body)


def _notify(stage: Stage) -> None:
    """The pages that a settlement wrote go to the bus, and from there to the function that sends e-mails."""
    begun = len(stage.scene.tap.written)
    stage.scene.now = MORNING
    _handle("SettlementFunction", _messages())
    table = stage.scene.names["LedgerTable"]
    written = [image for name, image in stage.scene.tap.written[begun:] if name == table]
    pages = [image for image in written if image["sk"]["S"].startswith(keys.NOTICE_PREFIX)]
    stage.invoke("PublishFunction", {"Records": [{**stream_record(page), "eventName": "INSERT"} for page in pages]})
    entries = [entry for put in stage.sent["PutEvents"] for entry in put["Entries"]]
    if len(entries) != ACCOUNTS:
        message = f"{len(entries)} notices of {ACCOUNTS} accounts"
        raise RuntimeError(message)
    # The bus puts each into a queue for each channel.
    stage.also("PublishFunction", {"sqs_requests": len(entries) * 3})
    messages = [_envelope(entry) for entry in entries]
    stage.invoke("EmailFunction", queue_event(messages))
    stage.invoke("SmsFunction", queue_event(messages))
    for one in messages:
        stage.invoke("WebhooksFunction", queue_event([one]))


def _envelope(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the bus makes of an entry."""
    return {"detail-type": entry["DetailType"], "source": entry["Source"], "detail": json.loads(entry["Detail"])}


# --- Readers and buyers


def _billed(scene: Scene) -> None:
    """A month of bills of all tags."""
    scene.now = start_of(date(2025, 4, 2))
    scene.open_account(traffic.account(0), RICH)
    reading.put_month(scene, traffic.account(0), reading.MONTH)


def _ask(path: str, stage: Stage) -> None:
    for _ in range(5):
        _request(stage, "GET", f"bills/{path}")


def _stocked(scene: Scene) -> None:
    """A wallet of twenty packages and a day that is open."""
    scene.now = prepaid.NOW
    scene.open_account(traffic.account(0), RICH)
    prepaid.stock(scene, traffic.account(0), events=100)


def _check(stage: Stage) -> None:
    for _ in range(5):
        _request(stage, "GET", f"entitlements/{prepaid.TAG}")


def _order(stage: Stage) -> None:
    for number in range(5):
        body: Any = {"items": [{"sku": f"{prepaid.TAG}:10000", "quantity": 1}]}
        _request(stage, "POST", "orders", body, f"order-{number}")


def _request(stage: Stage, method: str, path: str, body: Any = None, key: str | None = None) -> None:
    function, event = prepaid.request(stage.scene.now, method, f"/v1/accounts/{traffic.account(0)}/{path}", body, key)
    stage.invoke(function, event)


# --- The clock


def _schedule(function: str, task: str, stage: Stage) -> None:
    stage.scene.now = MORNING
    for _ in range(5):
        stage.invoke(function, {"task": task})
