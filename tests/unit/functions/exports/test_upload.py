"""Files go into the bucket a part at a time, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.canned import Instant
from exports import upload as uploading
from exports.upload import upload


@dataclass
class Store:
    """In place of S3."""

    fails: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def answer(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Take a call, or break."""
        self.calls.append((operation, dict(parameters)))
        if operation == self.fails:
            raise ConnectionError
        return {"UploadId": "u-1", "ETag": f"tag-{len(self.calls)}"}

    @property
    def operations(self) -> list[str]:
        """What was asked, in order."""
        return [operation for operation, _ in self.calls]


def put(store: Store, path: Path) -> int:
    """Upload a file."""
    client: Any = Instant(store.answer)
    return upload(client, "bucket", "exports/a/b.csv", path)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "PART_BYTES", 4)


def test_a_small_file_is_one_call(tmp_path: Path) -> None:
    """A file that fits into a part is put at once, with its type."""
    path, store = tmp_path / "b.csv", Store()
    path.write_bytes(b"1234")
    assert put(store, path) == 4
    ((operation, sent),) = store.calls
    assert (operation, sent["Body"], sent["Key"]) == ("PutObject", b"1234", "exports/a/b.csv")
    assert sent["ContentType"] == "text/csv; charset=utf-8"


def test_a_large_file_goes_in_parts(tmp_path: Path) -> None:
    """A larger file goes up part by part, none larger than the limit, and is completed with all of them in order."""
    path, store = tmp_path / "b.xlsx", Store()
    path.write_bytes(b"0123456789")
    assert put(store, path) == 10
    parts = [(sent["PartNumber"], sent["Body"]) for operation, sent in store.calls if operation == "UploadPart"]
    assert parts == [(1, b"0123"), (2, b"4567"), (3, b"89")]
    operation, sent = store.calls[-1]
    assert operation == "CompleteMultipartUpload"
    listed = [(part["PartNumber"], part["ETag"]) for part in sent["MultipartUpload"]["Parts"]]
    assert listed == [(1, "tag-2"), (2, "tag-3"), (3, "tag-4")]


@pytest.mark.parametrize("fails", ["UploadPart", "CompleteMultipartUpload"])
def test_what_fails_is_thrown_away(tmp_path: Path, fails: str) -> None:
    """An upload that breaks throws its parts away and says so: nobody pays for them, and nothing passes for done."""
    path, store = tmp_path / "b.zip", Store(fails)
    path.write_bytes(b"0123456789")
    with pytest.raises(ConnectionError):
        put(store, path)
    assert store.operations[-1] == "AbortMultipartUpload"
