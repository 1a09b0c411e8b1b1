"""The verification under faults and beside everybody else: it never cries wolf, forgets nothing and repairs nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import partial
from io import BytesIO
from random import Random
from typing import Any

import pytest

from aws_platform import clients, keys, metrics, verification
from aws_platform.archive_reading import folder
from aws_platform.failures import TryAgainError
from aws_platform.settings import Settings
from aws_platform.verification import Looks, Verified, Verifier
from rating.verification import Difference
from tests.faults.harness import EVERY_CALL, Delivery, FaultFound, Faults, QueueSource, by_seed, exhaust, race_seeds
from tests.faults.harness.interleave import Race
from tests.faults.notices import Diary
from tests.faults.properties import check_always
from tests.faults.support import Cloud, Json, Torn, TryAgain, day
from tests.faults.test_settlement_faults import LATE, USED, at_the_run, every_order, late_at_the_run
from tests.faults.test_whole_faults import ROUNDS, History, diary, shop
from tests.faults.verifying import check_verified, used_days, verified, verifier

__all__ = ["diary", "shop"]
QUEUE = "verification"


class Bucket:
    """The archive as S3 has it: each pack that Firehose was given is an object."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def get_paginator(self, operation: str) -> Bucket:
        """Of the only list that there is."""
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[Json]:  # noqa: N803 - as boto3 calls them
        """The objects, one a page."""
        assert Bucket == "archive"
        for number, pack in enumerate(self.cloud.archived):
            if folder(day(pack["day"]), pack["account_hash"]) == Prefix:
                yield {"Contents": [{"Key": f"{Prefix}{number}", "Size": 100}]}

    def get_object(self, Bucket: str, Key: str) -> Json:  # noqa: N803
        """One of them."""
        assert Bucket == "archive"
        pack = self.cloud.archived[int(Key.rpartition("/")[2])]
        return {"Body": BytesIO(json.dumps(pack, separators=(",", ":")).encode())}


@pytest.fixture
def job(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Give the product with the job's queue, and the archive of what is reported from now on."""
    monkeypatch.setenv("ARCHIVE_BUCKET", "archive")
    url = cloud.world.create_queue(QUEUE)
    monkeypatch.setenv("VERIFICATION_QUEUE_URL", url)
    monkeypatch.setattr(clients, "s3", partial(Bucket, cloud))
    return cloud


def errors(cloud: Cloud) -> list[Difference]:
    """What the verification finds."""
    return [one for found in verified(cloud) for one in found.errors]


def waiting(cloud: Cloud) -> list[str]:
    """The days that are left to be verified."""
    return [
        item["due_sk"]["S"]
        for item in cloud.world.items("usage")
        if item.get("due_pk", {"S": ""})["S"].startswith("verify#")
    ]


def verify(cloud: Cloud) -> None:
    """Plan the verification, and take what is queued, some of it twice."""
    source = QueueSource(cloud.world, QUEUE, Delivery(3, batch=(1, 1), duplicate=0.3, reorder=0.4, from_now=True))
    cloud.invoke("PlannerFunction", {"task": "verify"})
    source.drain(cloud.handler("VerificationFunction"))


def test_a_fault_at_every_call_of_the_job(job: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever strikes whichever call of the job, every day is looked at in the end, and nothing else was changed."""
    job.report(USED)
    packs = list(job.archived)
    job.go_to("2025-03-02 08:00")
    job.settle("daily")
    job.go_to("2025-03-02 12:30")
    told: list[float] = []

    def publish(_service: str, values: Mapping[str, float]) -> None:
        told.append(values.get("VerificationDifferences", 0))

    monkeypatch.setattr(metrics, "publish", publish)
    messages = [
        {"task": "charges", "account_id": "daily", "day": "2025-03-01"},
        {"task": "archive", "settled_on": "2025-03-02", "part": keys.account_hash("daily"), "day": "2025-03-01"},
    ]
    ledger, usage = _all(job, "ledger"), _all(job, "usage")
    assert len(waiting(job)) == 1

    def work() -> None:
        job.archived[:] = packs
        for number, message in enumerate(messages):
            record = {"messageId": str(number), "body": json.dumps(message)}
            if job.invoke("VerificationFunction", {"Records": [record]})["batchItemFailures"]:
                raise TryAgain

    def check() -> None:
        assert waiting(job) == []
        assert _all(job, "ledger") == ledger
        changed = {key for key, item in _all(job, "usage").items() if item != usage[key]}
        assert changed == {("daily#days", keys.day_item(day("2025-03-01")))}
        assert told
        assert not any(told)

    exhaust(job.world, work, check, kinds=EVERY_CALL)


def _all(cloud: Cloud, table: str) -> dict[tuple[str, str], Json]:
    return {(item["pk"]["S"], item["sk"]["S"]): dict(item) for item in cloud.world.items(table)}


def test_late_usage_is_never_forgotten(job: Cloud) -> None:
    """A day that late usage has changed is verified again after its run, also where it was verified before."""
    late_at_the_run(job)
    verify(job)
    assert waiting(job) == []
    job.settle("daily")
    (entry,) = waiting(job)
    assert entry.startswith("2025-03-03#")
    check_verified(job)


def test_a_settlement_that_takes_too_much_is_found(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run charged what was never called, the verification says so, day by day."""
    at_the_run(cloud, USED)
    monkeypatch.setattr("aws_platform.records.add_counts", _one_more)
    cloud.settle("daily")
    monkeypatch.undo()
    found = errors(cloud)
    assert {one.kind for one in found} == {"usage"}
    assert {(one.charged, one.computed) for one in found} >= {("5", "4")}


def _one_more(packed: Any) -> dict[int, int]:
    """The sum of packed counts, and one."""
    counts = [base64.b64decode(one) if isinstance(one, str) else one for one in packed]
    totals: dict[int, int] = {}
    for one in counts:
        for start in range(0, len(one), 6):
            dimensions = int.from_bytes(one[start : start + 4], "little")
            totals[dimensions] = totals.get(dimensions, 0) + int.from_bytes(one[start + 4 : start + 6], "little")
    return {dimensions: number + 1 for dimensions, number in totals.items()}


# --- beside a settlement ---------------------------------------------------------------------------------------


def look(cloud: Cloud) -> None:
    """Verify the day on which everything is, and find nothing but usage that nobody charged yet."""
    found = verifier(cloud).verify("daily", day("2025-03-01"), cloud.world.clock.now)
    assert not found.errors, found.errors


def beside_a_run(cloud: Cloud) -> dict[str, Callable[[], object]]:
    """A settlement that takes from a package, and who verifies meanwhile."""
    cloud.grant("daily", "identity_check", 2)
    cloud.prepared(*USED)
    return {"run": partial(cloud.settle, "daily"), "verify": partial(look, cloud)}


@pytest.mark.parametrize("before", [at_the_run, late_at_the_run])
def test_every_order_with_a_settlement(cloud: Cloud, before: Callable[..., None]) -> None:
    """In every order of their calls a verification finds nothing wrong beside a run, be it one of late usage."""
    before(cloud, *([USED] if before is at_the_run else []))
    works = beside_a_run(cloud)
    every_order(cloud, works, lambda: check_always(cloud), recover=lambda: None)


def test_transactions_that_become_visible_bit_by_bit(cloud: Cloud) -> None:
    """Whichever item of the settlement's transaction is seen last, the verification waits for it."""
    late_at_the_run(cloud)
    works = beside_a_run(cloud)
    for hidden in range(6):
        with Torn(cloud.world, hidden):
            race_seeds(cloud.world, works, lambda: None, seeds=range(6), recover=lambda: None)


def test_a_verification_of_several_moments_is_caught(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not ask whether the account is still the same, and looks only once, would be seen here."""

    class Same:
        def __ne__(self, other: object) -> bool:
            return other is None

        __hash__ = None  # type: ignore[assignment]

    def once(one: Verifier, account_id: str, which: date, now: datetime) -> Verified:
        return one._look(account_id, which, now, Looks(), whole_month=True)

    monkeypatch.setattr(verification, "read_account", lambda *_: Same())
    monkeypatch.setattr(Verifier, "verify", once)
    at_the_run(cloud, USED)
    with pytest.raises(FaultFound, match="usage"):
        every_order(cloud, beside_a_run(cloud), lambda: None, recover=lambda: None)


class Watched(History):
    """A history in which somebody verifies all the time."""

    looked = 0

    def round(self, when: str) -> dict[str, Callable[[], object]]:
        """The others, and who verifies."""
        works = super().round(when)
        return works | {"verify-1": self.look, "verify-2": self.look}

    def look(self) -> None:
        """Verify some days, and find nothing but usage that nobody charged yet."""
        verify_day = verifier(self.cloud).verify
        dice = Random(len(self.cloud.world.trace))  # noqa: S311 - wants to be reproducible, not secret
        days = used_days(self.cloud)
        for account_id, which in dice.sample(days, min(2, len(days))):
            try:
                found = verify_day(account_id, which, self.cloud.world.clock.now)
            except TryAgainError:
                continue
            type(self).looked += 1
            assert not found.errors, f"{account_id} {which}: {found.errors}"

    def play(self) -> None:
        """Live through the days of the runs."""
        for number, when in enumerate(ROUNDS):
            works = self.round(when)
            faults = Faults.seeded(self.seed * 100 + number, 0.01, budget=4)
            with Torn(self.cloud.world, self.seed):
                Race(works, lambda: None).play(self.cloud.world, by_seed(self.seed * 100 + number), faults)


@pytest.mark.parametrize("seed", range(2))
def test_beside_everybody_else_it_never_cries_wolf(shop: Cloud, diary: Diary, seed: int) -> None:
    """Whoever orders, pays, reports, settles or is stopped meanwhile: a verification finds nothing that is wrong."""
    Watched.looked = 0
    Watched(shop, diary, seed).play()
    assert Watched.looked > 10


def test_settings_are_enough(cloud: Cloud) -> None:
    """The verification asks for two tables, and for nothing that could change anything."""
    cloud.report(LATE)
    cloud.go_to("2025-03-02 08:00")
    cloud.settle("daily")
    settings = verifier(cloud).settings
    assert settings == Settings(usage_table="usage", ledger_table="ledger")
    before = len(cloud.world.trace)
    assert errors(cloud) == []
    operations = {one.call.operation for one in cloud.world.trace[before:]}
    assert operations <= {"Query", "GetItem", "BatchGetItem"}
