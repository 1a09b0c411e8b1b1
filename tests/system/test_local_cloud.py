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
from typing import TYPE_CHECKING

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
PASSES = ["MorningPlan", "SecondPass", "CompletenessCheck"]


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


# The clock


def test_clock(http: httpx.Client) -> None:
    """A day brings its three passes in order, nothing runs twice, and the clock goes forward only."""
    assert http.get("/sandbox/clock").json()["now"] >= START
    today = parse_time(http.get("/sandbox/clock").json()["now"]).date().isoformat()
    moved = http.put("/sandbox/clock", json={"now": f"{today}T23:00:00+08:00"})
    assert moved.status_code == 200
    schedules = [(item["at"], item["name"]) for item in moved.json()["ran"] if item["kind"] == "schedule"]
    hours = ["08", "10", "12"]
    assert schedules == [
        (f"{today}T{hour}:00:00+08:00", f"PlannerFunction{name}") for hour, name in zip(hours, PASSES, strict=True)
    ]
    again = http.put("/sandbox/clock", json={"now": f"{today}T15:00:00Z"})
    assert again.json() == {"now": f"{today}T23:00:00+08:00", "ran": []}
    back = http.put("/sandbox/clock", json={"now": f"{today}T22:59:59+08:00"})
    assert _code(back) == (409, "clock_moves_forward_only")


def test_stream_is_waited_for(cloud: LocalCloud) -> None:
    """The function behind the usage stream answers the marker that tells how far it has read."""
    cloud.driver.drain()
    key = {"pk": {"S": "sandbox"}, "sk": {"S": "drained"}}
    answer = cloud.client("dynamodb").get_item(TableName=cloud.resources["LiveTable"], Key=key)
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
