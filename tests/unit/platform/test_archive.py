"""Writing the archive: one form for each call, packs that Firehose takes, and what is sent again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from aws_platform import failures
from aws_platform.archive import COLUMNS, MAX_PACK_BYTES, Archive, calls_query, packs, rest_of_row, row
from aws_platform.failures import TryAgainError
from aws_platform.keys import account_hash
from ingest.events import parse_instant
from rating.catalog import load

ROOT = Path(__file__).parents[3]
DAY = date(2025, 3, 1)
NOW = datetime.fromisoformat("2025-03-01T10:00:00+08:00")
INTERFACE = load().resolve_interface("api.phone_2e", None, None, None)
REST = rest_of_row(INTERFACE, "0", "")


def row_of(time: str, source: str = "/gateway-1", event_id: str = "e-1", rest: str = REST) -> str:
    """The row of an event with this time."""
    instant = parse_instant(time)
    assert instant is not None
    return row(*instant, source, event_id, rest)


@pytest.mark.parametrize(
    "time,shown",
    [
        ("2025-03-01T10:00:03+08:00", "2025-03-01T10:00:03+08:00"),
        ("2025-03-01t02:00:03z", "2025-03-01T10:00:03+08:00"),
        ("2025-02-28T16:00:00.000Z", "2025-03-01T00:00:00+08:00"),
        ("2025-02-28T21:00:00.5000-03:00", "2025-03-01T08:00:00.5+08:00"),
        ("2025-03-01T10:00:03.123456789012300+08:00", "2025-03-01T10:00:03.1234567890123+08:00"),
    ],
)
def test_an_instant_has_one_notation(time: str, shown: str) -> None:
    """An instant looks the same however it was written, to the last digit, so that repeats are the same row."""
    assert json.loads(row_of(time))[0] == shown


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(source=TEXT, event_id=TEXT, code=TEXT, sub_account=TEXT)
def test_a_row_says_what_the_event_says(source: str, event_id: str, code: str, sub_account: str) -> None:
    """A row is an array of strings in the documented order, in ASCII and on one line, whatever the texts hold."""
    made = row_of("2025-03-01T10:00:03Z", source, event_id, rest_of_row(INTERFACE, code, sub_account))
    read = dict(zip(COLUMNS, json.loads(made), strict=True))
    assert read == {
        "time": "2025-03-01T18:00:03+08:00",
        "source": source,
        "id": event_id,
        "tag": "phone_two_factor",
        "charged": "true" if code in INTERFACE.charged else "false",
        "interface": "api.phone_2e",
        "library": "",
        "result_code": code,
        "sub_account": sub_account,
    }
    assert made.isascii()
    assert made.isprintable()


def test_a_pack_says_where_it_belongs() -> None:
    """A pack is a JSON object that names its account and its place, and when it came."""
    (pack,) = packs("acct-1", DAY, NOW, [row_of("2025-03-01T10:00:03Z", event_id=f"e-{one}") for one in range(3)])
    read = json.loads(pack)
    assert list(read) == ["day", "account_hash", "account_id", "received_at", "calls"]
    assert (read["day"], read["account_hash"]) == ("2025-03-01", account_hash("acct-1"))
    assert (read["account_id"], read["received_at"]) == ("acct-1", "2025-03-01T10:00:00+08:00")
    assert [call[2] for call in read["calls"]] == ["e-0", "e-1", "e-2"]


LONG = [row_of("2025-03-01T10:00:03Z", "😀" * 256, "😀" * 252 + f"{one:04d}") for one in range(1000)]
SHORT = [row_of("2025-03-01T10:00:03Z", "/g", f"{one}") for one in range(15_000)]


@pytest.mark.parametrize("rows", [LONG, SHORT], ids=["long", "short"])
def test_no_pack_is_larger_than_firehose_takes(rows: list[str]) -> None:
    """Calls go into as many packs as they need: none is lost, and all packs but the last are full."""
    made = list(packs("a" * 64, DAY, NOW, rows))
    assert len(made) > 1
    assert max(map(len, made)) <= MAX_PACK_BYTES
    assert min(map(len, made[:-1])) > MAX_PACK_BYTES - max(map(len, rows)) - 1
    assert [json.dumps(call, separators=(",", ":")) for one in made for call in json.loads(one)["calls"]] == rows


class Firehose:
    """Takes records, but for those that it is told not to take."""

    def __init__(self, *faults: set[int] | Exception) -> None:
        self.faults = list(faults)
        self.calls: list[list[bytes]] = []

    def put_record_batch(self, DeliveryStreamName: str, Records: Iterable[Mapping[str, bytes]]) -> dict[str, Any]:  # noqa: N803
        """The operation."""
        assert DeliveryStreamName == "stream"
        self.calls.append([one["Data"] for one in Records])
        fault = self.faults.pop(0) if self.faults else set[int]()
        if isinstance(fault, Exception):
            raise fault
        told = [
            {"ErrorCode": "ServiceUnavailableException"} if number in fault else {"RecordId": "r"}
            for number in range(len(self.calls[-1]))
        ]
        return {"FailedPutCount": len(fault), "RequestResponses": told}

    def archive(self) -> Archive:
        """An archive that writes here."""
        return Archive(self, "stream")  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited between tries, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(failures, "sleep", waited.append)
    return waited


def test_a_call_takes_no_more_than_firehose_does() -> None:
    """At most 500 records and 4 MiB go in one call, and everything goes."""
    many, large = [b"%d" % one for one in range(1201)], [bytes([one]) * (1024 * 1024) for one in range(5)]
    for records, sizes in ((many, [500, 500, 201]), (large, [4, 1]), ([*large[:3], large[3] + b"x"], [3, 1])):
        firehose = Firehose()
        firehose.archive().put(records)
        assert [len(call) for call in firehose.calls] == sizes
        assert [one for call in firehose.calls for one in call] == records


def test_nothing_is_no_call() -> None:
    """Where there is nothing to archive, Firehose is not called: it refuses empty calls."""
    firehose = Firehose()
    firehose.archive().put([])
    assert firehose.calls == []


def test_only_what_failed_is_sent_again(waits: list[float]) -> None:
    """Of a call that is taken in part, the rest is sent again, after a wait each time."""
    firehose = Firehose({0, 2, 3}, {1})
    firehose.archive().put([b"a", b"b", b"c", b"d"])
    assert firehose.calls == [[b"a", b"b", b"c", b"d"], [b"a", b"c", b"d"], [b"c"]]
    assert len(waits) == 2


def test_tries_are_bounded(waits: list[float]) -> None:
    """What is never taken ends in TryAgainError within two seconds of waiting."""
    firehose = Firehose(*[{0}] * 100)
    with pytest.raises(TryAgainError, match="did not take 1 records of 2"):
        firehose.archive().put([b"a", b"b"])
    assert len(firehose.calls) == failures.ATTEMPTS
    assert sum(waits) < 2


def test_an_error_of_the_call_passes_through() -> None:
    """The client has tried a failed call again by itself: its error goes to who called."""
    error = ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "PutRecordBatch")
    firehose = Firehose(error)
    with pytest.raises(ClientError):
        firehose.archive().put([b"a"])
    assert len(firehose.calls) == 1


def test_an_archive_has_a_stream() -> None:
    """A stack that meters without a stream is told so, and takes nothing that it would not archive."""
    with pytest.raises(ValueError, match="ARCHIVE_STREAM"):
        Archive(Firehose(), "")  # type: ignore[arg-type]


QUERY = """SELECT DISTINCT
    call[1] AS time,
    call[2] AS source,
    call[3] AS id,
    call[4] AS tag,
    call[5] AS charged,
    call[6] AS interface,
    call[7] AS library,
    call[8] AS result_code,
    call[9] AS sub_account
FROM "zhangben"."calls" CROSS JOIN UNNEST(calls) AS one (call)
WHERE day BETWEEN '2025-03-01' AND '2025-03-31'
    AND account_hash = '01'
    AND account_id = 'acct-1'
    AND call[4] = 'phone_two_factor'
    AND call[5] = 'true'
ORDER BY 1, 2, 3"""


def test_the_query_is_the_documented_one() -> None:
    """The query for a line of a bill names the partitions, and is word for word the one in docs/archive.md."""
    made = calls_query("zhangben", "acct-1", DAY, date(2025, 3, 31), "phone_two_factor", charged=True)
    assert made == QUERY
    assert f"```sql\n{QUERY}\n```" in (ROOT / "docs" / "archive.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("charged,said", [(True, "= 'true'"), (False, "= 'false'")])
def test_the_query_asks_for_charged_or_not(charged: bool, said: str) -> None:  # noqa: FBT001 - the case
    """Charged calls, the others, or both."""
    both = calls_query("zhangben", "acct-1", DAY, DAY, "face_risk")
    one = calls_query("zhangben", "acct-1", DAY, DAY, "face_risk", charged=charged)
    assert "call[5] =" not in both
    assert f"    AND call[5] {said}\n" in one


def test_the_query_quotes_what_it_is_given() -> None:
    """No account, tag or database can end its own quotation."""
    made = calls_query('d"b', "a'b", DAY, DAY, "t' OR '1'='1")
    assert 'FROM "d""b"."calls"' in made
    assert "account_id = 'a''b'" in made
    assert "call[4] = 't'' OR ''1''=''1'" in made
