"""Exports under faults: none is lost, none hangs for ever, and none shows a file that is not whole."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import ClientError

from aws_platform import clients, keys
from exports import upload
from exports.worker import MAX_RECEIVES
from tests.faults.harness import ALL, Delivery, QueueSource, Snapshot, World, exhaust, explore
from tests.faults.harness.calls import Call
from tests.faults.harness.dynamodb import Change
from tests.faults.harness.providers import Sent
from tests.faults.harness.world import _Posted
from tests.faults.support import Cloud, Json, TryAgain, start

EXPORTS = "/v1/accounts/daily/bills/exports"
QUEUE = "ExportQueue"
WANTED = {"month": "2025-02", "kind": "details", "format": "csv", "columns": ["total_cost", "reason"], "locale": "en"}
FILE = '\ufeff"Total cost","Remark"\r\n"-1.00000000","an error"\r\n"2.00000000","an error"\r\n'
ASKED, LATER, MUCH_LATER = "2025-03-01 10:00", "2025-03-01 10:10", "2025-03-01 11:00"
UPLOADS = {"at once": (upload.PART_BYTES, 11), "in parts": (40, 14)}
"""Bytes of a part, and the calls that are struck."""


@dataclass
class Store:
    """S3 over the harness: each call is one that faults strike, and what was put is restored with the world."""

    world: World
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        """Answer what the product asks of S3."""
        for operation, answer in {
            "PutObject": lambda body: self._keep("s3", body["object"], body["Body"]),
            "CreateMultipartUpload": lambda _: {"UploadId": f"upload-{next(self._numbers)}"},
            "UploadPart": lambda body: self._keep("s3 part", _part_name(body), body["Body"]),
            "CompleteMultipartUpload": self._complete,
            "AbortMultipartUpload": lambda _: {},
        }.items():
            self.world.answer("s3", operation, answer)

    def kept(self, service: str = "s3") -> dict[str, bytes]:
        """What lies in the bucket, or the parts that were sent."""
        return {one.body["name"]: one.body["content"] for one in self.world.providers.sent if one.service == service}

    def _keep(self, service: str, name: str, content: bytes) -> Json:
        self.world.providers.sent.append(Sent(service, {"name": name, "content": content}, None, None))
        return {"ETag": name}

    def _complete(self, body: Json) -> Json:
        parts = self.kept("s3 part")
        content = b"".join(parts[part["ETag"]] for part in body["MultipartUpload"]["Parts"])
        return self._keep("s3", body["object"], content)

    # in place of the client

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """The operation of this name, tried once: what the client tries again by itself is left out."""
        operation = "".join(word.capitalize() for word in method.split("_"))

        def call(**body: Any) -> Any:
            body["object"] = body.pop("Key")
            asked = Call("s3", operation, body, f"s3-{next(self._numbers)}")
            answer = self.world._exchange(asked, _Posted("https://s3"))
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise ClientError({"Error": {"Code": answer.result}}, operation)
            return json.loads(answer.body)

        return call

    def generate_presigned_url(self, _: str, **request: Any) -> str:
        """A link: it leads to whatever lies there when somebody follows it."""
        return str(request["Params"]["Key"])


def _part_name(body: Json) -> str:
    return f"{body['UploadId']}/{body['PartNumber']}"


@dataclass
class Case:
    """An account with a closed month, and whoever asks for it."""

    cloud: Cloud
    store: Store
    broken: list[str] = field(default_factory=list)
    """What did not hold at some moment."""

    def ask(self) -> None:
        """Ask for the export, until that is answered."""
        self.cloud.keyed("POST", EXPORTS, WANTED, "k")

    def make(self) -> None:
        """Have every message taken, again where it fails."""
        source = QueueSource(self.cloud.world, QUEUE, Delivery(batch=(1, 1), hidden_seconds=1800))
        source.drain(self.cloud.handler("ExportWorkerFunction"))

    def ask_and_make(self) -> None:
        """All that is done without the timers."""
        self.ask()
        self.make()

    def sweep_and_make(self) -> None:
        """What the timers see to, when ten minutes are over."""
        self.cloud.go_to(LATER)
        self.cloud.sweep()
        self.make()

    def items(self) -> list[Json]:
        """The exports, as stored."""
        return [one for one in self.cloud.world.items("ledger") if one["sk"]["S"].startswith(keys.EXPORT_PREFIX)]

    def shown(self) -> Json:
        """The one export, as answered."""
        (item,) = self.items()
        reply = self.cloud.request("GET", f"{EXPORTS}/{item['sk']['S'].removeprefix(keys.EXPORT_PREFIX)}")
        assert reply.status == 200, reply.text
        found: Json = reply.body
        return found

    def check(self) -> None:
        """The one export is completed, with a whole file, and nothing is left to be done."""
        shown, (item,) = self.shown(), self.items()
        assert (shown["status"], shown["rows"]) == ("completed", 2)
        assert self.store.kept()[shown["url"]].decode() == FILE
        assert "due_sk" not in item
        assert self.broken == []

    def watch(self, changes: list[Change]) -> None:
        """No export is completed before its file is there."""
        for change in changes:
            item = change.after or {}
            if item.get("status", {}).get("S") == "completed" and item["sk"]["S"].startswith(keys.EXPORT_PREFIX):
                whole = [content for content in self.store.kept().values() if content.decode() == FILE]
                if not whole:
                    self.broken.append(f"{item['sk']['S']} was completed without a file")


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Case, Snapshot]]:
    """Give an account with two adjustments in February, which its run has closed."""
    with start("2025-02-01 09:00") as cloud:
        queue = {"EXPORT_QUEUE_URL": cloud.world.create_queue(QUEUE), "EXPORTS_BUCKET": "bucket", "DUE_SHARDS": "1"}
        case = Case(cloud, Store(cloud.world))
        with mock.patch.dict(os.environ, queue), mock.patch.object(clients, "s3", return_value=case.store):
            cloud.open_account("daily", cash="5.00", opened_at="2025-01-15T00:00:00+08:00")
            cloud.adjust("daily", "1.00", "a")
            cloud.adjust("daily", "-2.00", "b")
            commit = cloud.world.dynamodb._commit

            def watched(changes: Any) -> None:
                listed = list(changes)
                commit(listed)
                case.watch(listed)

            with mock.patch.object(cloud.world.dynamodb, "_commit", watched):
                yield case, cloud.world.snapshot()


@pytest.fixture
def case(stage: tuple[Case, Snapshot]) -> Case:
    """Give it on 1 March 2025, 10:00."""
    found, before = stage
    found.cloud.world.restore(before)
    found.broken.clear()
    found.cloud.go_to(ASKED)
    found.cloud.prepared()
    return found


@pytest.mark.parametrize("parts", UPLOADS)
def test_an_export_is_made_whatever_is_struck(case: Case, parts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any fault at any call of the request or of the worker: in the end, by the timers at the latest, it is made."""
    monkeypatch.setattr(upload, "PART_BYTES", UPLOADS[parts][0])
    report = exhaust(case.cloud.world, case.ask_and_make, case.check, kinds=ALL, recover=case.sweep_and_make)
    assert report.clean_calls >= UPLOADS[parts][1]


def test_the_timers_ask_again_whatever_is_struck(case: Case) -> None:
    """An export that nobody was told of is made by way of the sweep, with any fault at any of its calls."""
    case.ask()
    case.cloud.world.sqs.queues[QUEUE].clear()

    def recover() -> None:
        case.cloud.go_to("2025-03-01 10:20")
        case.cloud.sweep()
        case.make()

    exhaust(case.cloud.world, case.sweep_and_make, case.check, kinds=ALL, recover=recover)


def test_giving_up_is_for_good_whatever_is_struck(case: Case) -> None:
    """After an hour the sweep gives an export up, once, whatever is struck; a message that comes then makes no file."""
    case.ask()

    def give_up() -> None:
        case.cloud.go_to(MUCH_LATER)
        case.cloud.sweep()

    def check() -> None:
        case.make()
        assert case.shown()["status"] == "failed"
        assert "due_sk" not in case.items()[0]
        assert case.store.kept() == {}

    exhaust(case.cloud.world, give_up, check, kinds=ALL)


def test_two_workers_make_one_file(case: Case) -> None:
    """Two messages for one export, in whatever order their calls take turns: it is completed once, with its file."""
    case.ask()
    (message,) = case.cloud.world.sqs.queues[QUEUE]

    def work() -> None:
        record = {"messageId": "m-1", "body": message.body, "attributes": {"ApproximateReceiveCount": "1"}}
        if case.cloud.invoke("ExportWorkerFunction", {"Records": [record]})["batchItemFailures"]:
            raise TryAgain

    explore(case.cloud.world, {"one": work, "other": work}, case.check, recover=lambda: None, limit=60)


def test_the_last_try_is_the_queues_last(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that fails each time fails its export with the last try that the queue gives it."""
    case.ask()
    monkeypatch.setattr("exports.worker.upload", mock.Mock(side_effect=ConnectionError))
    delivery = Delivery(batch=(1, 1), attempts=MAX_RECEIVES, dead_letters=True)
    source = QueueSource(case.cloud.world, QUEUE, delivery)
    source.drain(case.cloud.handler("ExportWorkerFunction"))
    assert [json.loads(one.body)["account_id"] for one in source.dead] == ["daily"]
    assert case.shown()["status"] == "failed"
