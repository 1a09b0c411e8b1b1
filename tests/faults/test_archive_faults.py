"""The archive under faults: what was answered as taken is archived, and what is archived is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from aws_platform.archive import Archive, rest_of_row, row
from ingest import record_usage
from rating.catalog import load
from tests.faults.harness import ALL, Delivery, Fault, FaultFound, Faults, exhaust, explore, sweep
from tests.faults.properties import check_always, check_complete, check_told
from tests.faults.support import Cloud, Json, fact
from tests.support.product import event

NOON = "2025-03-01T10:00:00+08:00"
GOOD = [
    event("daily", "e1", NOON, sub_account="team-a"),
    event("daily", "e2", "2025-02-28T23:59:59+08:00"),
    event("monthly", "m1", NOON, interface="api.phone_2e", code="7"),
]
CONFLICT = event("daily", "e1", NOON, code="-2")
BATCH = [*GOOD, GOOD[0], CONFLICT, event("nobody", "e1", NOON)]
"""Three packs; a duplicate and a conflict in the batch itself, and an event that is refused."""


def archived(sent: Json) -> tuple[str, str, str]:
    """An event as it is to lie in the archive: account, day and row."""
    said, interface = fact(sent), load().resolve_interface(sent["data"]["interface"], None, None, None)
    rest = rest_of_row(interface, said.code, said.sub_account)
    return said.account, said.day.isoformat(), row(said.second, "", said.source, said.event_id, rest)


def in_archive(cloud: Cloud) -> Iterator[tuple[str, str, str]]:
    """What Firehose has taken."""
    for pack in cloud.archived:
        for call in pack["calls"]:
            texts = ",".join(f'"{text}"' for text in call)
            yield pack["account_id"], pack["day"], f"[{texts}]"


def nothing() -> None:
    """Recover by nothing: a batch that is sent once more would archive what the first answer had forgotten."""


def is_archived(cloud: Cloud, sent: Sequence[Json], valid: Sequence[Json]) -> Callable[[], None]:
    """The property, beside those of metering: all that was answered as taken is archived, and nothing that is not."""

    def check() -> None:
        check_always(cloud)
        check_told(cloud, sent)
        check_complete(cloud, sent, valid)
        found = set(in_archive(cloud))
        for told in cloud.told:
            refused = {error["index"] for error in told.report["errors"]}
            taken = {archived(one) for index, one in enumerate(told.events) if index not in refused}
            assert taken <= found, f"answered, but not archived: {taken - found}"
        others = found - {archived(one) for one in valid}
        assert not others, f"archived, but never counted: {others}"

    return check


def test_a_fault_at_every_call(cloud: Cloud) -> None:
    """Whatever strikes whichever call, Firehose's included: when a producer is answered, its calls are archived."""
    check = is_archived(cloud, BATCH, GOOD)
    report = exhaust(cloud.world, lambda: cloud.report(BATCH), check, kinds=ALL, recover=nothing)
    assert {Fault.PARTIAL, Fault.LOST, Fault.THROTTLED_OUT, Fault.CRASH_AFTER} <= set(report.faults)


@pytest.mark.parametrize("fault", [Fault.PARTIAL, Fault.CRASH_AFTER, Fault.LOST, Fault.THROTTLED_OUT])
def test_faults_of_firehose_again_and_again(cloud: Cloud, fault: Fault) -> None:
    """Firehose may fail several times in a row, in part or wholly: the answer is 503 until all is archived."""
    faults = Faults.on("PutRecordBatch", fault, times=5)
    outcome = cloud.world.finish(lambda: cloud.report(BATCH), faults)
    assert outcome.ok
    assert len(faults.log) >= 1
    assert set(cloud.statuses) <= {200, 503}
    is_archived(cloud, BATCH, GOOD)()


def test_a_firehose_that_is_down(cloud: Cloud) -> None:
    """While Firehose is down nothing is answered as taken, and what is stored meanwhile is archived afterwards."""
    down = Faults.on("PutRecordBatch", Fault.PARTIAL, times=10_000)
    cloud.world.run(lambda: cloud.report(GOOD[:1]), down)
    assert cloud.statuses == [503]
    assert cloud.told == []
    cloud.report(GOOD)
    assert cloud.told[0].report["duplicate"] == 1
    is_archived(cloud, GOOD, GOOD)()


def test_two_requests_at_once(cloud: Cloud) -> None:
    """Two requests with the same events, in any order of their calls: each is answered after they are archived."""
    works = {"a": lambda: cloud.report(GOOD[:1]), "b": lambda: cloud.report([CONFLICT, GOOD[0]])}
    sent = [GOOD[0], CONFLICT]

    def check() -> None:
        is_archived(cloud, sent, sent)()
        assert len(set(in_archive(cloud))) == 1

    explore(cloud.world, works, check, limit=150)


def test_through_the_queue(cloud: Cloud) -> None:
    """Messages under faults, out of order and repeated: when they are gone, every call that is counted is archived."""
    for seed in range(10):
        delivery = Delivery(seed=seed, batch=(1, 3), duplicate=0.5, reorder=0.5)

        def check() -> None:
            check_complete(cloud, BATCH, GOOD)
            assert set(in_archive(cloud)) == {archived(one) for one in GOOD}

        work = partial(cloud.deliver, delivery, BATCH[:2], BATCH[1:], GOOD)
        sweep(cloud.world, work, check, seeds=[seed], rates=0.05, recover=nothing)


def test_an_answer_before_the_archive_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest that did not mind what Firehose answers would be seen here."""

    def careless(self: Archive, records: list[bytes]) -> None:
        self._firehose.put_record_batch(DeliveryStreamName=self._stream, Records=[{"Data": one} for one in records])

    monkeypatch.setattr(Archive, "_put", careless)
    check = is_archived(cloud, GOOD, GOOD)
    with pytest.raises(FaultFound, match="answered, but not archived"):
        exhaust(cloud.world, lambda: cloud.report(GOOD), check, kinds=[Fault.PARTIAL], recover=nothing)


def test_archived_conflicts_are_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest that archived what it did not count would be seen here."""

    def everything(groups: Sequence[record_usage._Group], _: object, now: object) -> Iterator[bytes]:
        return original(groups, [["taken"] * len(group.rows) for group in groups], now)

    original: Callable[..., Iterator[bytes]] = record_usage._to_archive
    monkeypatch.setattr(record_usage, "_to_archive", everything)
    cloud.report(BATCH)
    with pytest.raises(AssertionError, match="archived, but never counted"):
        is_archived(cloud, BATCH, GOOD)()
