"""The local cloud as a whole: the built stack in the embedded cloud, behind the gateway, with its clock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.clock import parse_time
from local.cloud import LocalCloud
from local.deploy import DeployError
from local.emulator import EmulatorError, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
START = "2025-03-01T00:00:00+08:00"
PASSES = {"08:00": "MorningPlan", "10:00": "SecondPass", "12:00": "CompletenessCheck", "12:30": "VerificationPlan"}


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """One local cloud for all tests that do not stop it."""
    with LocalCloud(clock=START) as running:
        yield running


@pytest.fixture
def http(cloud: LocalCloud) -> Iterator[httpx.Client]:
    """A client of its gateway."""
    with httpx.Client(base_url=cloud.url, timeout=120) as client:
        yield client


def _code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


# The gateway


def test_ready_when_started(http: httpx.Client) -> None:
    """When the start returns, the health route's function answers."""
    assert http.get("/healthz").status_code == 200


def test_who_may_call(http: httpx.Client) -> None:
    """Without a token 401, without the scope 403, without a route 404, and with a good token the function answers."""
    body = {"account_id": "acct-1", "scopes": ["billing:read"]}
    token = http.post("/sandbox/tokens", json=body).json()["access_token"]
    header = {"authorization": f"Bearer {token}"}
    assert _code(http.get("/v1/catalog")) == (401, "unauthorized")
    assert _code(http.post("/v1/usage", headers=header, content=b"[]")) == (403, "forbidden")
    assert _code(http.get("/v1/nothing", headers=header)) == (404, "route_not_found")
    assert http.get("/v1/catalog", headers=header).status_code not in {401, 403, 404, 500, 503}


def test_sixteen_at_once(cloud: LocalCloud) -> None:
    """Sixteen requests are served side by side."""
    with ThreadPoolExecutor(16) as pool, httpx.Client(base_url=cloud.url, timeout=120) as http:
        answers = list(pool.map(lambda _: http.get("/healthz").status_code, range(48)))
    assert answers == [200] * 48


def test_body_beyond_ten_megabytes(cloud: LocalCloud, http: httpx.Client) -> None:
    """A body of more than 10 MB gets its answer over a real connection, too."""
    header = {"authorization": f"Bearer {cloud.token(None, 'usage:write')}"}
    assert _code(http.post("/v1/usage", headers=header, content=b"x" * 11_000_000)) == (413, "body_too_large")


def test_a_queue_starts_few_processes(cloud: LocalCloud) -> None:
    """However many the template allows, a queue lets at most four processes of its function run."""
    mappings = cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    queues = [mapping for mapping in mappings if ":sqs:" in mapping["EventSourceArn"]]
    assert {mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in queues} == {4}


# The clock


def test_clock(http: httpx.Client) -> None:
    """A day brings its three passes in order, nothing runs twice, and the clock goes forward only."""
    assert http.get("/sandbox/clock").json()["now"] >= START
    today = parse_time(http.get("/sandbox/clock").json()["now"]).date().isoformat()
    moved = http.put("/sandbox/clock", json={"now": f"{today}T23:00:00+08:00"})
    assert moved.status_code == 200
    schedules = [(item["at"], item["name"]) for item in moved.json()["ran"] if item["kind"] == "schedule"]
    assert schedules == [(f"{today}T{time}:00+08:00", f"PlannerFunction{name}") for time, name in PASSES.items()]
    again = http.put("/sandbox/clock", json={"now": f"{today}T15:00:00Z"})
    assert again.json() == {"now": f"{today}T23:00:00+08:00", "ran": []}
    back = http.put("/sandbox/clock", json={"now": f"{today}T22:59:59+08:00"})
    assert _code(back) == (409, "clock_moves_forward_only")


@pytest.mark.parametrize("table", ["LiveTable", "LedgerTable"])
def test_stream_is_waited_for(cloud: LocalCloud, table: str) -> None:
    """The functions behind the streams of usage and ledger answer the marker that tells how far they have read."""
    cloud.driver.drain()
    key = {"pk": {"S": "sandbox"}, "sk": {"S": "drained"}}
    answer = cloud.client("dynamodb").get_item(TableName=cloud.resources[table], Key=key)
    assert int(answer["Item"]["n"]["N"]) >= 1


def test_queue_is_waited_for(cloud: LocalCloud, http: httpx.Client) -> None:
    """A batch on the usage queue is worked off before the clock's answer goes out."""
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/test",
        "type": "faceid.call",
        "subject": "nobody",
        "time": "2025-03-01T00:00:00+08:00",
        "data": {"interface": "face_risk", "result_code": "0"},
    }
    assert http.post("/sandbox/queue", json=[event]).status_code == 202
    drained = http.put("/sandbox/clock", json=http.get("/sandbox/clock").json())
    assert drained.status_code == 200
    name = "ApproximateNumberOfMessages"
    sqs, url = cloud.client("sqs"), cloud.resources["UsageQueue"]
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name] == "0"


# What leaves the stack


def test_nothing_has_left(http: httpx.Client) -> None:
    """Before anything is told, messages and events are empty lists, for everybody."""
    for path in ("/sandbox/messages", "/sandbox/events"):
        assert http.get(path).json() == {"items": []}
        assert _code(http.post(path)) == (404, "route_not_found")


def test_a_notice_leaves_on_every_channel(cloud: LocalCloud, http: httpx.Client) -> None:
    """When the clock's answer goes out, a purchase's notice is on the bus, and its e-mail and SMS are sent, once."""
    now = _buy(cloud, http)
    assert http.put("/sandbox/clock", json=now).status_code == 200
    (event,) = http.get("/sandbox/events").json()["items"]
    assert set(event) == {"event_id", "time", "detail_type", "source", "detail"}
    assert (event["source"], event["detail_type"], event["time"]) == ("zhangben", "package_delivered", now["now"])
    assert event["detail"]["kind"] == "package_delivered"
    mail, sms = http.get("/sandbox/messages").json()["items"]
    assert (mail["channel"], mail["to"]) == ("email", ["buyer@example.com"])
    assert (sms["channel"], sms["to"]) == ("sms", ["+8613800000000"])
    assert mail["subject"]
    assert mail["body"]
    assert sms["body"]
    again = http.put("/sandbox/clock", json=now).json()
    assert [one for one in again["ran"] if one["kind"] == "timer"] == []
    assert len(http.get("/sandbox/messages").json()["items"]) == 2


def test_what_is_due_at_this_very_instant(cloud: LocalCloud, http: httpx.Client) -> None:
    """A timer that comes to be due at the clock's own instant is swept when the clock is sent to that instant again."""
    now = http.get("/sandbox/clock").json()
    key = {"pk": {"S": "A#buyer"}, "sk": {"S": "S#subscription"}}
    due = {"due_pk": {"S": "timer#0"}, "due_sk": {"S": f"{now['now']}#buyer#S#subscription"}}
    body = {"S": json.dumps({"emails": None, "phones": None, "locale": None, "daily_report": True})}
    cloud.client("dynamodb").put_item(TableName=cloud.resources["LedgerTable"], Item={**key, **due, "body": body})
    ran = http.put("/sandbox/clock", json=now).json()["ran"]
    assert "timer" in {one["kind"] for one in ran}
    assert http.get("/sandbox/events").json()["items"][-1]["detail_type"] == "daily_report"
    assert http.get("/sandbox/messages").json()["items"][1]["channel"] == "email"


def _buy(cloud: LocalCloud, http: httpx.Client) -> dict[str, str]:
    """An account `buyer` that has bought a package; what the clock says."""
    headers = {"authorization": f"Bearer {cloud.token(None, 'billing:admin')}"}
    contact = {"email": "buyer@example.com", "phone": "+8613800000000", "locale": "en"}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("", {"account_id": "buyer", "name": "Example", "contact": contact}),
        ("/buyer/service/application", {"purpose": "identity checks"}),
        ("/buyer/service/approval", {}),
        ("/buyer/top-ups", {"fund": "cash", "amount": "1000.00"}),
        ("/buyer/orders", {"items": [{"sku": "identity_check:1000", "quantity": 1}]}),
    ]
    for path, body in steps:
        http.post(f"/v1/accounts{path}", json=body, headers={**headers, "idempotency-key": path}).raise_for_status()
    clock: dict[str, str] = http.get("/sandbox/clock").json()
    return clock


# More than one


def test_two_side_by_side(cloud: LocalCloud) -> None:
    """Two local clouds know nothing of each other; a port that is taken is said so."""
    with LocalCloud(clock="2025-06-01T00:00:00+08:00") as other:
        assert other.url != cloud.url
        assert other.driver.now() == parse_time("2025-06-01T00:00:00+08:00")
        assert cloud.driver.now() < parse_time("2025-06-01T00:00:00+08:00")
    with pytest.raises(OSError, match="cannot be used"), LocalCloud(port=int(cloud.url.rpartition(":")[2])):
        pass


def test_kept_state(tmp_path: Path) -> None:
    """A kept folder brings clock, tables, keys and a working stream to the next start; one cloud uses it at a time."""
    item = {"pk": {"S": "test"}, "sk": {"S": "kept"}}
    with LocalCloud(clock=START, state=tmp_path) as first:
        token = first.token("acct-1", "billing:read")
        with httpx.Client(base_url=first.url, timeout=120) as http:
            _buy(first, http)
        first.driver.move(parse_time("2025-03-02T09:00:00+08:00"))
        first.client("dynamodb").put_item(TableName=first.resources["LedgerTable"], Item=item)
        with pytest.raises(EmulatorError, match="another local cloud"), LocalCloud(state=tmp_path):
            pass
    with LocalCloud(clock=START, state=tmp_path) as second:
        assert second.driver.now() == parse_time("2025-03-02T09:00:00+08:00")
        ledger = second.resources["LedgerTable"]
        assert second.client("dynamodb").get_item(TableName=ledger, Key=item)["Item"] == item
        answer = httpx.get(f"{second.url}/v1/catalog", headers={"authorization": f"Bearer {token}"}, timeout=60)
        assert answer.status_code not in {401, 403}
        for path, number in (("events", 1), ("messages", 2)):
            assert len(httpx.get(f"{second.url}/sandbox/{path}", timeout=60).json()["items"]) == number
        ran = second.driver.move(parse_time("2025-03-02T11:00:00+08:00"))
        assert [one.name for one in ran if one.kind == "schedule"] == ["PlannerFunctionSecondPass"]


def test_nothing_built(tmp_path: Path) -> None:
    """Without a build the start says what is missing."""
    with pytest.raises(DeployError, match="nothing is built"), LocalCloud(build=tmp_path):
        pass


# The end


def _processes_of(folder: Path) -> list[int]:
    """Every process that has this folder in its environment or command line."""
    found = []
    for about in (path for path in Path("/proc").iterdir() if path.name.isdecimal()):
        try:
            text = (about / "environ").read_bytes() + (about / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text and int(about.name) != os.getpid():
            found.append(int(about.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left(number: signal.Signals, tmp_path: Path) -> None:
    """However it ends, no process and no file stays behind; a wanted end is exit 0."""
    port = str(free_port())
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PORT": port, "CLOCK": START}
    command = [sys.executable, "-m", "local"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        clock = httpx.get(f"http://127.0.0.1:{port}/sandbox/clock", timeout=10)
        assert json.loads(clock.text) == {"now": START}
        assert len(_processes_of(tmp_path)) > 2
        process.send_signal(number)
        status = process.wait(30)
    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    deadline = time.monotonic() + 10
    while (_processes_of(tmp_path) or any(tmp_path.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
