"""Each fault does to a real boto3 client what AWS does, and the same seed does the same again."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from types import ModuleType
from typing import Any

import pytest
from moto import mock_aws

from tests.faults.harness import (
    ALL,
    Fault,
    FaultFound,
    Faults,
    HarnessError,
    QueueSource,
    World,
    exhaust,
    shortcut,
    sweep,
)

boto3: Any = importlib.import_module("boto3")
exceptions: Any = importlib.import_module("botocore.exceptions")
Config: Any = importlib.import_module("botocore.config").Config

KEY = {"pk": {"S": "a"}, "sk": {"S": "1"}}
ABSENT = "attribute_not_exists(pk)"


@pytest.fixture(params=["the whole way", "the short way"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Give a world with a table and a queue, where calls that no fault strikes go the one way or the other."""
    with World() as entered, shortcut(entered) if request.param == "the short way" else nullcontext():
        entered.create_table("T", stream="NEW_IMAGE")
        entered.create_queue("Q")
        yield entered


def put(world: World, sk: str = "1", **more: Any) -> Any:
    """Put one item."""
    return world.client("dynamodb").put_item(TableName="T", Item={"pk": {"S": "a"}, "sk": {"S": sk}}, **more)


def get(world: World, *, strong: bool = True) -> Any:
    """Get the item."""
    return world.client("dynamodb").get_item(TableName="T", Key=KEY, ConsistentRead=strong).get("Item")


def add(world: World) -> Any:
    """Add one to the item's count."""
    values = {":one": {"N": "1"}}
    return world.client("dynamodb").update_item(
        TableName="T", Key=KEY, UpdateExpression="ADD c :one", ExpressionAttributeValues=values
    )


def add_in_transaction(world: World) -> Any:
    """Add one to the item's count in a transaction."""
    update = {"TableName": "T", "Key": KEY, "UpdateExpression": "ADD c :one"}
    values = {":one": {"N": "1"}}
    return world.client("dynamodb").transact_write_items(
        TransactItems=[{"Update": {**update, "ExpressionAttributeValues": values}}]
    )


def code(outcome: Any) -> str:
    """Return the error code that the work saw."""
    return str(outcome.error.response["Error"]["Code"])


@pytest.mark.parametrize("fault, left", [(Fault.CRASH_BEFORE, 0), (Fault.CRASH_AFTER, 1)])
def test_crash(world: World, fault: Fault, left: int) -> None:
    """A crash before a call leaves no effect and one after it leaves the effect; ``except Exception`` never sees it."""
    reached = []

    def work() -> None:
        try:
            put(world)
        except Exception:  # noqa: BLE001
            reached.append("except")
        reached.append("after")

    outcome = world.run(work, Faults.at({1: fault}))
    assert outcome.crashed
    assert reached == []
    assert len(world.items("T")) == left


def test_nothing_happens_after_a_crash(world: World) -> None:
    """A dead process has no effect any more, even from ``finally`` or where it swallows everything."""

    def work() -> str:
        try:
            put(world, "1")
        except BaseException:  # noqa: BLE001
            with suppress(BaseException):
                put(world, "2")
        finally:
            with suppress(BaseException):
                put(world, "3")
        return "survived"

    outcome = world.run(work, Faults.at({1: Fault.CRASH_BEFORE}))
    assert outcome.crashed
    assert outcome.value is None
    assert world.items("T") == []
    assert world.run(work).value == "survived"


def test_timeout_after_commit_is_sent_again(world: World) -> None:
    """Botocore itself sends the request again, so that a conditional put meets its own write and fails."""
    outcome = world.run(lambda: put(world, ConditionExpression=ABSENT), Faults.at({1: Fault.TIMEOUT_AFTER}))
    assert code(outcome) == "ConditionalCheckFailedException"
    assert outcome.calls == 2
    assert len(world.items("T")) == 1


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.SERVER_ERROR_AFTER])
def test_resend_doubles_an_update_but_not_a_transaction(world: World, fault: Fault) -> None:
    """A re-sent ADD counts twice; a re-sent transaction carries its token and counts once, as on AWS."""
    world.run(lambda: add(world), Faults.at({1: fault}))
    assert get(world)["c"] == {"N": "2"}
    world.run(lambda: add_in_transaction(world), Faults.at({1: fault}))
    assert get(world)["c"] == {"N": "3"}


@pytest.mark.parametrize("fault, left", [(Fault.LOST, 1), (Fault.UNREACHABLE, 0)])
def test_lost_for_good(world: World, fault: Fault, left: int) -> None:
    """When no attempt gets through the caller sees the time-out, with the effect there (once) or not."""
    outcome = world.run(lambda: put(world), Faults.at({1: fault}))
    assert isinstance(outcome.error, (exceptions.HTTPClientError, exceptions.ConnectTimeoutError))
    assert outcome.calls > 2
    assert len(world.items("T")) == left
    assert len(world.dynamodb.table("T").stream) == left


@pytest.mark.parametrize(
    "fault", [Fault.TIMEOUT_BEFORE, Fault.SERVER_ERROR_BEFORE, Fault.THROTTLED, Fault.TRANSACTION_IN_PROGRESS]
)
def test_one_bad_attempt_is_retried_without_waiting(world: World, fault: Fault) -> None:
    """Botocore retries one lost, failed or throttled attempt by itself; the back-off takes virtual time only."""
    outcome = world.run(lambda: add_in_transaction(world), Faults.on("TransactWriteItems", fault, times=3))
    assert outcome.ok
    assert outcome.calls == 4
    assert get(world)["c"] == {"N": "1"}
    assert len(world.clock.slept) == 3


def test_throttled_out(world: World) -> None:
    """When every attempt is throttled the caller gets the error, and nothing was done."""
    outcome = world.run(lambda: put(world), Faults.at({1: Fault.THROTTLED_OUT}))
    assert code(outcome) in {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}
    assert outcome.calls == 4
    assert world.items("T") == []
    sent = lambda: world.client("sqs").send_message(QueueUrl=world.create_queue("Q"), MessageBody="x")  # noqa: E731
    assert code(world.run(sent, Faults.at({1: Fault.THROTTLED_OUT}))) == "RequestThrottled"


def test_client_retry_settings_hold(world: World) -> None:
    """The client's own retry mode and number of attempts decide how often a call is sent."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 2})
    client = boto3.client("dynamodb", region_name="eu-west-1", config=config)
    outcome = world.run(lambda: client.get_item(TableName="T", Key=KEY), Faults.at({1: Fault.UNREACHABLE}))
    assert not outcome.ok
    assert outcome.calls == 2


def test_conflict(world: World) -> None:
    """A conflict cancels a transaction with a reason and refuses a single write; the SDK retries neither."""
    outcome = world.run(lambda: add_in_transaction(world), Faults.at({1: Fault.CONFLICT}))
    assert code(outcome) == "TransactionCanceledException"
    error: Any = outcome.error
    assert [one["Code"] for one in error.response["CancellationReasons"]] == ["TransactionConflict"]
    assert outcome.calls == 1
    assert code(world.run(lambda: put(world), Faults.at({1: Fault.CONFLICT}))) == "TransactionConflictException"
    assert world.items("T") == []


def test_transaction_throttled(world: World) -> None:
    """Throttling can also be the reason of a cancelled transaction."""
    error: Any = world.run(lambda: add_in_transaction(world), Faults.at({1: Fault.TRANSACTION_THROTTLED})).error
    (reason,) = error.response["CancellationReasons"]
    assert reason["Code"] in {"ThrottlingError", "ProvisionedThroughputExceeded"}


def test_batch_get_leaves_keys_unprocessed(world: World) -> None:
    """A batch get answers some keys and hands back the others; a loop gets all of them."""
    for sk in "123":
        put(world, sk)
    client = world.client("dynamodb")
    keys = [{"pk": {"S": "a"}, "sk": {"S": sk}} for sk in "123"]
    pages: list[Any] = []

    def work() -> None:
        left = {"T": {"Keys": keys, "ConsistentRead": True}}
        while left:
            answer = client.batch_get_item(RequestItems=left)
            pages.append(answer)
            left = answer["UnprocessedKeys"]

    assert world.run(work, Faults.at({1: Fault.PARTIAL})).ok
    assert len(pages) == 2
    assert sum(len(page["Responses"].get("T", [])) for page in pages) == 3
    assert pages[0]["UnprocessedKeys"]["T"]["ConsistentRead"] is True


def test_batch_write_leaves_items_unprocessed(world: World) -> None:
    """A batch write does some items and hands back the others."""
    requests = [{"PutRequest": {"Item": {"pk": {"S": "a"}, "sk": {"S": sk}}}} for sk in "12345"]
    client = world.client("dynamodb")
    outcome = world.run(lambda: client.batch_write_item(RequestItems={"T": requests}), Faults.at({1: Fault.PARTIAL}))
    answer: Any = outcome.value
    assert 0 < len(world.items("T")) < 5
    assert len(world.items("T")) + len(answer["UnprocessedItems"]["T"]) == 5


def test_messages_fail_one_by_one(world: World) -> None:
    """A message batch sends some entries and names the failed ones, which are not on the queue."""
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(5)]
    url = world.create_queue("Q")
    client = world.client("sqs")
    send = lambda: client.send_message_batch(QueueUrl=url, Entries=entries)  # noqa: E731
    answer: Any = world.run(send, Faults.at({1: Fault.PARTIAL})).value
    failed = {one["Id"] for one in answer["Failed"]}
    assert failed
    assert {message.body for message in world.sqs.queues["Q"]} == {str(number) for number in range(5)} - failed
    assert {one["Id"] for one in answer.get("Successful", [])} == {str(number) for number in range(5)} - failed


def test_records_of_another_service_fail_one_by_one(world: World) -> None:
    """A service that the harness does not know is answered by a function, and its batches fail in part as well."""
    kept: list[Any] = []

    def take(body: dict[str, Any]) -> dict[str, Any]:
        kept.extend(body["Records"])
        return {"FailedPutCount": 0, "RequestResponses": [{"RecordId": "r"} for _ in body["Records"]]}

    world.answer("firehose", "PutRecordBatch", take)
    records = [{"Data": str(number).encode()} for number in range(4)]
    client = world.client("firehose")
    send = lambda: client.put_record_batch(DeliveryStreamName="D", Records=records)  # noqa: E731
    answer: Any = world.run(send, Faults.at({1: Fault.PARTIAL})).value
    assert answer["FailedPutCount"] == 4 - len(kept) > 0
    assert [("ErrorCode" in one) for one in answer["RequestResponses"]].count(True) == answer["FailedPutCount"]


def query(world: World, **more: Any) -> Any:
    """Query the partition."""
    values = {":a": {"S": "a"}}
    return world.client("dynamodb").query(
        TableName="T", KeyConditionExpression="pk = :a", ExpressionAttributeValues=values, ConsistentRead=True, **more
    )


@pytest.mark.parametrize("count", [1, 4])
def test_short_page(world: World, count: int) -> None:
    """A query ends early with a key to go on from, even where nothing is left; following the key finds all."""
    for number in range(count):
        put(world, str(number))
    pages: list[Any] = []

    def work() -> None:
        start: dict[str, Any] = {}
        while True:
            pages.append(query(world, **start))
            if "LastEvaluatedKey" not in pages[-1]:
                return
            start = {"ExclusiveStartKey": pages[-1]["LastEvaluatedKey"]}

    assert world.run(work, Faults.at({1: Fault.SHORT_PAGE})).ok
    assert len(pages) == 2
    assert sum(page["Count"] for page in pages) == count


def test_stale_read(world: World) -> None:
    """A read that is not strongly consistent may miss the latest writes; a strongly consistent one is never struck."""
    put(world)
    assert world.run(lambda: get(world, strong=False), Faults.at({1: Fault.STALE})).value is None
    assert world.run(lambda: get(world, strong=True), Faults.at({1: Fault.STALE})).value == KEY
    assert world.items("T") == [KEY]


def busy(world: World) -> None:
    """Make calls of several kinds."""
    for sk in "12":
        with suppress(world.client("dynamodb").exceptions.ConditionalCheckFailedException):
            put(world, sk, ConditionExpression=ABSENT)
        query(world)
        add_in_transaction(world)


def test_same_seed_same_faults(world: World) -> None:
    """The same seed strikes the same calls in the same way, and what a run printed plays it again."""
    start = world.snapshot()
    seen = []
    faults = Faults.seeded(5, 0.08, budget=100)
    for one in (faults, Faults.seeded(5, 0.08, budget=100), None):
        world.restore(start)
        again = one or Faults.parse(faults.replay())
        world.finish(lambda: busy(world), again, restarts=200)
        seen.append(([str(line) for line in world.trace], world.items("T")))
    assert len(faults.log) > 3
    assert seen[0] == seen[1] == seen[2]


def test_every_fault_strikes_somewhere(world: World) -> None:
    """A sweep over seeds meets every kind of fault that the calls allow, within each worker's budget."""
    put(world)

    def work() -> None:
        get(world, strong=False)
        busy(world)

    report = sweep(world, work, lambda: None, seeds=range(60), rates=0.03)
    assert report.cases == 60
    assert set(report.faults) == set(ALL) - {Fault.PARTIAL}
    faults = Faults.seeded(1, 0.5, kinds=[Fault.THROTTLED], budget=3)
    world.run(lambda: [put(world) for _ in range(20)], faults)
    assert len(faults.log) == 3


def test_exhaust_strikes_every_call(world: World) -> None:
    """Every call of the work is struck once with every kind, and with depth two every later call of the re-run too."""
    struck: list[str] = []

    def work() -> None:
        put(world, "1")
        put(world, "2")

    def check() -> None:
        struck.append("/".join(str(one.place) for one in world.trace if one.fault))
        assert len(world.items("T")) == 2

    report = exhaust(world, work, check, kinds=[Fault.CRASH_BEFORE])
    assert struck == ["", "w0#1", "w0#2"]
    assert (report.clean_calls, report.cases) == (2, 2)
    struck.clear()
    exhaust(world, work, check, kinds=[Fault.CRASH_BEFORE], depth=2)
    assert {"w0#1/w0#2", "w0#1/w0#3", "w0#2/w0#3", "w0#2/w0#4"} <= set(struck)
    assert world.items("T") == []


def test_failure_tells_how_to_get_it_again(world: World) -> None:
    """A property that breaks is reported with the faults as text and the calls up to there."""
    with pytest.raises(FaultFound) as caught:
        exhaust(world, lambda: add(world), lambda: None if get(world)["c"] == {"N": "2"} else pytest.fail("double"))
    assert "Faults.parse('w0#1=crash_after')" in str(caught.value)
    assert "dynamodb.UpdateItem T{a, 1}" in str(caught.value)
    assert "crash_after" in str(caught.value)


def test_bug_is_not_taken_for_an_outage(world: World) -> None:
    """A bug of the code under test is raised at once and not run again until it hides."""
    attempts: list[int] = []

    def work() -> None:
        attempts.append(1)
        put(world)
        raise KeyError("bug")

    with pytest.raises(KeyError):
        world.finish(work)
    assert len(attempts) == 1


def test_invalid_request_ends_the_test(world: World) -> None:
    """A request that AWS refuses as invalid is a finding, even where the code under test swallows the error."""
    with pytest.raises(HarnessError, match="ValidationException"):
        world.run(lambda: suppressed(lambda: put(world, "")))


def suppressed(function: Callable[[], object]) -> None:
    """Call and swallow errors."""
    with suppress(Exception):
        function()


def test_work_that_never_ends_is_reported(world: World) -> None:
    """Work that fails again and again without a fault is reported after a bounded number of attempts."""

    def work() -> None:
        put(world, ConditionExpression="attribute_exists(pk)")

    with pytest.raises(FaultFound, match="did not come to its end in 4 attempts"):
        world.finish(work, restarts=3)


def test_clients_made_before(world: World) -> None:
    """A client made before the world was entered, or with an endpoint of its own, is caught as well."""
    early = boto3.client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y", endpoint_url="http://a:1"
    )
    early.put_item(TableName="T", Item=KEY)
    assert world.items("T") == [KEY]


def test_thread_pool_runs_in_turn(world: World) -> None:
    """Tasks of a thread pool run at once and in order in the worker's own thread, so that runs are the same."""

    def work() -> int:
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda sk: (put(world, sk), threading.get_ident())[1], "4213"))
        return len(set(done))

    assert world.run(work).value == 1
    assert [next(iter(line.call.body["Item"]["sk"].values())) for line in world.trace] == list("4213")
    assert world.run(work, Faults.at({2: Fault.CRASH_AFTER})).crashed


def test_stray_thread_is_noticed() -> None:
    """An AWS call from a thread that the harness cannot order fails the test."""

    def enter() -> None:
        with World() as world:
            world.create_table("T")
            client = world.client("dynamodb")
            thread = threading.Thread(target=lambda: suppress_all(lambda: client.put_item(TableName="T", Item=KEY)))
            thread.start()
            thread.join()

    with pytest.raises(HarnessError, match="thread"):
        enter()


def suppress_all(function: Callable[[], object]) -> None:
    """Call and swallow everything."""
    with suppress(BaseException):
        function()


def test_sleep_of_the_code_under_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The named sleep functions and ``time.sleep`` take virtual time; business time stands still meanwhile."""
    module = ModuleType("some_retry")
    module.sleep = time.sleep  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_retry", module)
    began = time.monotonic()
    with World(sleeps=("some_retry.sleep", "no_such_package.sleep")) as world:
        now = world.clock.now
        module.sleep(30)
        time.sleep(40)
        assert world.clock.slept == [30, 40]
        assert world.clock.elapsed == 70
        assert world.clock.now == now
    assert time.monotonic() - began < 20
    with pytest.raises(HarnessError, match=r"some_retry\.nap"), World(sleeps=("some_retry.nap",)):
        pass


def test_memory_is_lost_in_a_crash() -> None:
    """The functions given as ``reset`` run when a process dies and before each case."""
    memory: list[str] = []

    def work() -> None:
        memory.append("x")
        put(own)

    with World(reset=(memory.clear,)) as own:
        own.create_table("T")
        start = own.snapshot()
        own.run(work)
        assert memory == ["x"]
        own.run(work, Faults.at({1: Fault.CRASH_AFTER}))
        assert memory == []
        own.run(work)
        own.restore(start)
        assert memory == []


def test_one_world_at_a_time(world: World) -> None:
    """A second world is refused instead of taking over the first one's calls."""
    del world
    with pytest.raises(HarnessError, match="another"), World():
        pass


def test_not_beside_moto() -> None:
    """With moto active no call would reach the harness, so it refuses."""
    with mock_aws(), pytest.raises(HarnessError, match="moto"), World():
        pass


def test_failure_outside_the_searches_gets_the_trace() -> None:
    """Any other failure inside a world carries the trace as a note."""

    def fail() -> None:
        with World() as world:
            world.create_table("T")
            world.run(lambda: put(world))
            raise ValueError("x")

    with pytest.raises(ValueError, match="x") as caught:
        fail()
    assert "dynamodb.PutItem T{a, 1} -> ok" in caught.value.__notes__[0]


def test_queue_source_outside_a_worker_has_its_own_faults(world: World) -> None:
    """A source runs its handler under its own faults and delivers again what crashed."""
    source = QueueSource(world, "Q", faults=Faults.at({1: Fault.CRASH_AFTER}))
    source.put("1")
    source.drain(lambda event, _: put(world, event["Records"][0]["body"]))
    assert [line.result for line in world.trace] == ["WorkerCrashed", "ok"]
