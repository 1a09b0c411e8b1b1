"""How soon an event is seen in `GET A/usage` after its answer, on the local cloud: HTTP and stream included."""

from __future__ import annotations

import time

import httpx

from bench.figures import Figure, Section
from local.cloud import LocalCloud

START = "2025-03-01T10:00:00+08:00"
TARGET = 2.0
_EVENTS = 20
_PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.02
ACCOUNT = "acct-1"


def seconds_until_seen(http: httpx.Client, tokens: tuple[str, str], number: int) -> float:
    """Report one event more and wait for it. Raises TimeoutError where it is never seen."""
    event = {
        "specversion": "1.0",
        "id": f"01JNB{number:021d}",
        "source": "/faceid/gateway-3",
        "type": "faceid.call",
        "subject": ACCOUNT,
        "time": START,
        "data": {"interface": "api.id_card_verification", "result_code": "0"},
    }
    producer, reader = ({"authorization": f"Bearer {token}"} for token in tokens)
    headers = {**producer, "content-type": "application/cloudevents+json"}
    answer = http.post("/v1/usage", json=event, headers=headers)
    answered = time.monotonic()
    if answer.json().get("accepted") != 1:
        message = f"the event was answered {answer.status_code} {answer.text}"
        raise RuntimeError(message)
    while time.monotonic() < answered + _PATIENCE_SECONDS:
        rows = http.get(f"/v1/accounts/{ACCOUNT}/usage", headers=reader).raise_for_status().json()["items"]
        if sum(row["calls"] for row in rows) > number:
            return time.monotonic() - answered
        time.sleep(_LOOK_SECONDS)
    message = f"event {number} is not seen"
    raise TimeoutError(message)


def _open_account(http: httpx.Client, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    for path, body in (
        ("", {"account_id": ACCOUNT, "name": "Example"}),
        (f"/{ACCOUNT}/service/application", {"purpose": "identity checks"}),
        (f"/{ACCOUNT}/service/approval", {}),
    ):
        http.post(f"/v1/accounts{path}", json=body, headers=headers).raise_for_status()


def measure() -> Section:
    """The worst and the middle of several events, one after the other."""
    with LocalCloud(clock=START) as cloud, httpx.Client(base_url=cloud.url, timeout=60) as http:
        _open_account(http, cloud.token(None, "billing:admin"))
        tokens = cloud.token(None, "usage:write"), cloud.token(None, "billing:admin")
        waited = sorted(seconds_until_seen(http, tokens, number) for number in range(_EVENTS))
    return Section(
        "From the answer to GET A/usage, on the local cloud",
        [
            Figure(f"worst of {_EVENTS}", waited[-1], "s", TARGET, 2, "the first includes three cold starts"),
            Figure("middle", waited[_EVENTS // 2], "s", digits=2),
        ],
    )
