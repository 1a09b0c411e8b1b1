"""From a line of the bill to the calls behind it, in the local cloud: HTTP, Firehose, S3 and Athena as deployed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from aws_platform.archive import COLUMNS, calls_query
from local.cloud import LocalCloud
from local.story import Teller, one_instant, open_account

ACCOUNT, NEIGHBOUR = "disputed-1", "disputed-2"
DAY = date(2025, 3, 1)
WHEN = "2025-03-01T08:29:00+08:00"
TAG, INTERFACE = "phone_two_factor", "api.phone_2e"
CHARGED = 25


def call(number: int, when: str = WHEN, code: str = "0", interface: str = INTERFACE) -> dict[str, Any]:
    """A call of the disputed account, from a team whose name needs care."""
    made = one_instant(ACCOUNT, when, interface, "", 1)[0]
    return {
        **made,
        "id": f"{code}/{number}",
        "data": {**made["data"], "result_code": code, "sub_account": 'it\'s "队" 7'},
    }


@pytest.fixture(scope="module")
def line(teller: Teller) -> dict[str, Any]:
    """The one line of the tag, after everything was sent twice and the night's run has charged it."""
    for account in (ACCOUNT, NEIGHBOUR):
        open_account(teller, account, "Disputed", "100.00", "2025-01-01T00:00:00+08:00")
    sent = [call(number, f"2025-03-01T08:2{number % 10}:00.{number:03d}0+08:00") for number in range(CHARGED)]
    sent += [call(number, code="-1") for number in range(4)]
    other = call(0, interface="api.id_card_verification", code="-1")
    sent.append({**other, "id": "other-tag"})
    answer = teller.report(sent)
    assert (answer["accepted"], answer["not_chargeable"], answer["rejected"]) == (CHARGED + 1, 4, 0)
    # Again, in another notation of the same instants; an event that conflicts leaves no trace; and a neighbour's calls.
    again = [{**one, "time": one["time"].replace("T08:", "T00:").replace("0+08:00", "Z")} for one in sent[:CHARGED]]
    assert teller.report(again)["duplicate"] == CHARGED
    assert teller.report([call(0, sent[0]["time"]) | {"data": {"interface": INTERFACE, "result_code": "1"}}])[
        "conflict"
    ]
    teller.report(one_instant(NEIGHBOUR, WHEN, INTERFACE, "0", 3))
    teller.move_to("2025-03-02T09:00:00+08:00")
    lines = teller.customer(ACCOUNT, "/bills/details", month="2025-03", tag=TAG)["items"]
    assert len(lines) == 1
    return dict(lines[0])


def behind(teller: Teller, cloud: LocalCloud, *, charged: bool | None) -> list[dict[str, str]]:
    """What the documented query finds."""
    database = cloud.resources["ArchiveDatabase"]
    return teller.query(calls_query(database, ACCOUNT, DAY, DAY, TAG, charged=charged), database)


def test_the_query_finds_the_calls_behind_a_line(line: dict[str, Any], teller: Teller, cloud: LocalCloud) -> None:
    """The charged calls of the line's tag and day are found, each once, as they were reported."""
    found = behind(teller, cloud, charged=True)
    assert line["raw_quantity"] == CHARGED == len(found)
    assert [tuple(one) for one in found[:1]] == [COLUMNS]
    assert sorted(one["id"] for one in found) == sorted(f"0/{number}" for number in range(CHARGED))
    assert found[1] == {
        "time": "2025-03-01T08:20:00.01+08:00",
        "source": "/faceid/gateway-9",
        "id": "0/10",
        "tag": TAG,
        "charged": "true",
        "interface": INTERFACE,
        "library": "",
        "result_code": "0",
        "sub_account": 'it\'s "队" 7',
    }


def test_the_query_finds_what_is_not_charged(line: dict[str, Any], teller: Teller, cloud: LocalCloud) -> None:
    """What was counted as not chargeable is found apart, and with the charged calls where nothing is said."""
    assert {one["id"] for one in behind(teller, cloud, charged=False)} == {f"-1/{number}" for number in range(4)}
    assert len(behind(teller, cloud, charged=None)) == line["raw_quantity"] + 4
