"""Reading the archive: what was written comes back, whatever its form, and nothing is passed over unseen."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from io import BytesIO
from typing import Any

import pytest
from botocore.response import StreamingBody
from hypothesis import given
from hypothesis import strategies as st

from aws_platform import records
from aws_platform.archive import packs, rest_of_row, row
from aws_platform.archive_reading import ArchivedCall, BrokenArchiveError, archive_size, archived_calls, folder
from aws_platform.keys import account_hash
from rating.catalog import load

DAY = date(2025, 3, 1)
NOW = datetime.fromisoformat("2025-03-01T10:00:00+08:00")
SECOND = int(NOW.timestamp())
INTERFACE = load().resolve_interface("api.phone_2e", None, None, None)
PART = account_hash("acct-1")
PLACE = folder(DAY, PART)


class Bucket:
    """S3 with one bucket, which lists two objects a page."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = objects

    def get_paginator(self, operation: str) -> Bucket:
        """Pages of an operation."""
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - the operation's own words
        """Two objects at a time, and at last a page of none."""
        assert Bucket == "bucket"
        found = [{"Key": key, "Size": len(self.objects[key])} for key in sorted(self.objects) if key.startswith(Prefix)]
        for start in range(0, len(found), 2):
            yield {"Contents": found[start : start + 2]}
        yield {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """One object, as a stream."""
        assert Bucket == "bucket"
        content = self.objects[Key]
        return {"Body": StreamingBody(BytesIO(content), len(content))}


def read(objects: Mapping[str, bytes], wanted: set[str] | None = None) -> list[ArchivedCall]:
    """What the archive gives."""
    return list(archived_calls(Bucket(objects), "bucket", DAY, PART, wanted))  # type: ignore[arg-type]


def pack(*ids: str, account_id: str = "acct-1", fraction: str = "", code: str = "0", day: date = DAY) -> bytes:
    """A line with calls of one instant."""
    rest = rest_of_row(INTERFACE, code, "")
    (made,) = packs(account_id, day, NOW, [row(SECOND, fraction, "/gateway-1", one, rest) for one in ids])
    return made + b"\n"


def call(event_id: str, *, fraction: str = "", charged: bool = True, account_id: str = "acct-1") -> ArchivedCall:
    """What such a call is read as."""
    identity = records.identity("/gateway-1", event_id, SECOND, fraction)
    return ArchivedCall(account_id, identity, "phone_two_factor", charged)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    source=TEXT,
    event_id=TEXT,
    seconds=st.integers(SECOND - 40 * 86_400, SECOND + 40 * 86_400),
    fraction=st.from_regex(r"([0-9]{0,20}[1-9])?", fullmatch=True),
)
def test_what_was_written_comes_back(source: str, event_id: str, seconds: int, fraction: str) -> None:
    """The identity that is read is the one that the call is counted under, whatever its texts and its instant."""
    (line,) = packs("acct-1", DAY, NOW, [row(seconds, fraction, source, event_id, rest_of_row(INTERFACE, "7", ""))])
    identity = records.identity(source, event_id, seconds, fraction)
    assert read({f"{PLACE}o": line}) == [ArchivedCall("acct-1", identity, "phone_two_factor", charged=False)]


def test_every_object_of_every_page_is_read() -> None:
    """Compressed or plain, in one piece or several, with or without an end of the last line: all of it is read."""
    objects = {
        f"{PLACE}2025/03/01/02/a.gz": gzip.compress(pack("a-1", "a-2") + pack("a-3")),
        f"{PLACE}b.gz": gzip.compress(pack("b-1")) + gzip.compress(pack("b-2")),
        f"{PLACE}c": pack("c-1", code="9") + pack("c-2", fraction="05").rstrip(b"\n"),
        f"{PLACE}d": b"",
        f"{PLACE}e": pack("a-1"),
        f"{folder(date(2025, 3, 2), PART)}f": pack("f-1", day=date(2025, 3, 2)),
        "errors/g": b"nonsense",
    }
    expected = [call("a-1"), call("a-2"), call("a-3"), call("b-1"), call("b-2"), call("c-1", charged=False)]
    assert read(objects) == [*expected, call("c-2", fraction="05"), call("a-1")]
    in_place = [len(content) for key, content in objects.items() if key.startswith(PLACE)]
    assert archive_size(Bucket(objects), "bucket", DAY, PART) == sum(in_place)  # type: ignore[arg-type]


def test_accounts_that_are_passed_over_are_named() -> None:
    """Whose packs are there and not wanted is said, by their heads alone, and nobody of the wanted ones."""
    others = [one for one in map("other-{}".format, range(100)) if account_hash(one) == PART][:2]
    lines = [pack("e-1"), *(pack("o-1", account_id=one).replace(b"]]", b"") for one in others * 2)]
    passed_over: set[str] = set()
    bucket: Any = Bucket({f"{PLACE}o": b"".join(lines)})
    assert list(archived_calls(bucket, "bucket", DAY, PART, {"acct-1", "nobody"}, passed_over)) == [call("e-1")]
    assert passed_over == set(others)


def test_only_the_wanted_accounts_are_read() -> None:
    """Packs of other accounts are passed over, without a look at what they hold."""
    other = next(f"other-{one}" for one in range(1000) if account_hash(f"other-{one}") == PART)
    passed = pack("o-1", account_id=other)
    damaged = passed.replace(b'[["', b"[[").replace(b"]]", b"")
    objects = {f"{PLACE}o": passed + pack("e-1") + damaged}
    assert read(objects, {"acct-1"}) == [call("e-1")]
    assert read({f"{PLACE}o": passed}, set()) == []
    assert read({f"{PLACE}o": passed}) == [call("o-1", account_id=other)]


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"nonsense\n",
        b'{"calls":[]}\n',
        pack("e-1")[:-10],
        pack("e-1").rstrip(b"\n") + pack("e-2"),
        pack("e-1").replace(b'"/gateway-1",', b""),
        pack("e-1").replace(b',"0",""]', b',"0"]'),
        pack("e-1").replace(b'"/gateway-1"', b"1"),
        pack("e-1").replace(b'"true"', b'"yes"'),
        pack("e-1").replace(b"T10:00", b" 10:00"),
        pack("e-1").replace(b"T10:00", b"T25:00"),
        pack("e-1").replace(b'"/gateway-1"', b'"\xff"'),
        pack("e-1", day=date(2025, 3, 2)),
        pack("e-1", account_id="acct-2"),
        gzip.compress(pack("e-1"))[:-9],
        gzip.compress(pack("e-1"))[:20] + b"\0\0\0\0" + gzip.compress(pack("e-1"))[24:],
        b"x" * 1_100_000,
    ],
)
def test_what_is_no_pack_is_told(content: bytes) -> None:
    """A line that is no pack, or one of another place, is an error that names the object: never a call less."""
    with pytest.raises(BrokenArchiveError, match=f"{PLACE}broken holds something"):
        read({f"{PLACE}a": pack("e-0"), f"{PLACE}broken": content})


def test_memory_does_not_grow_with_the_archive() -> None:
    """Ten times as much to read takes no more memory: one pack at a time is held."""
    line = pack(*(f"event-{number:020d}" for number in range(500)))

    def peak(lines: int) -> int:
        bucket = Bucket({f"{PLACE}a": gzip.compress(line * lines, 1)})
        tracemalloc.start()
        found = archived_calls(bucket, "bucket", DAY, PART)  # type: ignore[arg-type]
        number = sum(1 for _ in found)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert number == lines * 500
        return used

    assert peak(20) < 1.1 * peak(2)


def test_a_line_without_end_is_not_held_in_memory() -> None:
    """What is no pack is told after the length of one, however much more there is of it."""
    endless = gzip.compress(b"x" * 30_000_000, 1)
    tracemalloc.start()
    with pytest.raises(BrokenArchiveError):
        read({f"{PLACE}a": endless})
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 5_000_000
