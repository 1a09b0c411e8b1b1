"""What lies behind Firehose in one process: packs go into a bucket of moto at once, where Firehose would lay them.

The client is the real one, so that botocore checks what it is given; its calls are answered before they leave.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from types import SimpleNamespace
from typing import Any

from moto.s3.models import FakeBucket, S3Backend, s3_backends

from aws_platform import clients
from aws_platform.archive import MAX_BATCH_BYTES, MAX_RECORDS
from aws_platform.archive_reading import folder

type Json = dict[str, Any]

BUCKET = "archive"
STREAM = "archive-stream"
DATABASE = "zhangben"

_firehose = clients.firehose
"""The product's own, which a test replaces."""
_REGION = "ap-southeast-1"
_RECORD_BYTES = 1_024_000


@dataclass
class ArchiveStream:
    """The stream and its bucket. The bucket is a place in memory: laying a pack costs next to nothing."""

    faults: list[str | Collection[int]] = field(default_factory=list)
    """What becomes of the next calls, one each: an error code, or which of its records are not taken."""
    calls: list[list[bytes]] = field(default_factory=list)
    """The records of each call, taken or not."""
    _client: Any = None

    def firehose(self) -> Any:
        """Stand for `clients.firehose`."""
        if self._client is None:
            self._client = _firehose()
            listen = self._client.meta.events.register
            listen("before-parameter-build.firehose.PutRecordBatch", self._given)
            listen("before-call.firehose.PutRecordBatch", self._answered)
        return self._client

    def empty(self) -> None:
        """Nothing was archived, and nothing fails."""
        self.faults.clear()
        self.calls.clear()
        self._bucket().keys.clear()

    def packs(self) -> list[Json]:
        """Everything that is in the archive, in the order in which it came."""
        return [json.loads(key.value) for key in self._bucket().keys.values()]

    def rows(self, account_id: str | None = None) -> list[tuple[str, ...]]:
        """The calls that are in the archive, repeats included, sorted: of all accounts, or of one."""
        packs = [pack for pack in self.packs() if account_id in {None, pack["account_id"]}]
        return sorted(tuple(call) for pack in packs for call in pack["calls"])

    def lay(self, key: str, content: bytes, *, compressed: bool = False) -> None:
        """Put an object into the bucket, as it is or compressed."""
        self._backend().put_object(BUCKET, key, gzip.compress(content) if compressed else content)

    def _backend(self) -> S3Backend:
        return s3_backends["123456789012"]["aws"]

    def _bucket(self) -> FakeBucket:
        backend = self._backend()
        if BUCKET not in backend.buckets:
            backend.create_bucket(BUCKET, _REGION)
        return backend.buckets[BUCKET]

    def _given(self, params: Json, context: Json, **_: Any) -> None:
        context["given"] = params

    def _answered(self, context: Json, **_: Any) -> tuple[Any, Json]:
        """Take the records of a call whose parameters are in order."""
        given: Json = context["given"]
        assert given["DeliveryStreamName"] == STREAM
        records: list[bytes] = [one["Data"] for one in given["Records"]]
        assert 0 < len(records) <= MAX_RECORDS
        assert sum(map(len, records)) <= MAX_BATCH_BYTES
        assert max(map(len, records)) <= _RECORD_BYTES
        self.calls.append(records)
        fault = self.faults.pop(0) if self.faults else ()
        if isinstance(fault, str):
            error = {"Code": fault, "Message": "made by the test"}
            return SimpleNamespace(status_code=400), {"Error": error, "ResponseMetadata": {}}
        told = []
        for number, record in enumerate(records):
            if number in fault:
                told.append({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "made by the test"})
                continue
            self._deliver(record)
            told.append({"RecordId": str(number)})
        return SimpleNamespace(status_code=200), {"FailedPutCount": len(fault), "RequestResponses": told}

    def _deliver(self, record: bytes) -> None:
        """As the stream of the template does it, but each record in an object of its own."""
        pack = json.loads(record)
        place = folder(date.fromisoformat(pack["day"]), pack["account_hash"])
        self.lay(f"{place}{STREAM}-{len(self._bucket().keys):06d}", record + b"\n")
