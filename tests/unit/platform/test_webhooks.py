"""Webhooks: the signature, the message, when a delivery is tried again, and how a webhook is stored."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aws_platform import egress, webhooks
from aws_platform.notices import KeptNotice
from aws_platform.webhooks import Reason, Webhook
from rating.notices import Kind, Notice

PAGE = (Path(__file__).parents[3] / "docs" / "notices.md").read_text()
FIRST = datetime.fromisoformat("2025-03-01T10:00:00+08:00")
KEPT = KeptNotice("20250301100000-order-0001", "acct-1", Notice(Kind.PACKAGE_LOW, FIRST, {"name": "身份信息核验"}))


def test_the_signature_is_that_of_the_published_example() -> None:
    """Whoever verifies by the Standard Webhooks libraries takes our signature: this is the vector of their tests."""
    signed = webhooks.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_message_is_that_of_the_scheme() -> None:
    """Type, time of the event and its data, in compact UTF-8, the same in every attempt."""
    body = webhooks.message_of(KEPT)
    assert json.loads(body) == {
        "type": "package_low",
        "timestamp": "2025-03-01T10:00:00+08:00",
        "data": {
            "notice_id": "20250301100000-order-0001",
            "account_id": "acct-1",
            "kind": "package_low",
            "occurred_at": "2025-03-01T10:00:00+08:00",
            "data": {"name": "身份信息核验"},
        },
    }
    assert "身份信息核验".encode() in body
    assert b", " not in body
    assert webhooks.message_of(KEPT) == body


def test_the_headers_sign_the_message_at_the_time_of_the_attempt() -> None:
    """The id stays the same in every attempt and has no full stop; the time is real time in whole seconds."""
    webhook = webhooks.new_webhook("https://hooks.example.com/", None, FIRST)
    for second in (0, 60):
        moment = datetime(2026, 1, 1, 0, 0, second % 60, 900_000, UTC) + timedelta(minutes=second // 60)
        headers = webhooks.headers_of(webhook, KEPT, b"{}", moment)
        timestamp = int(moment.timestamp())
        assert headers == {
            "content-type": "application/json",
            "user-agent": "Zhangben-Webhooks/1",
            "webhook-id": "acct-1:20250301100000-order-0001",
            "webhook-timestamp": str(timestamp),
            "webhook-signature": webhooks.signature(webhook.secret, headers["webhook-id"], timestamp, b"{}"),
        }
        assert "." not in headers["webhook-id"]


def test_secrets_and_ids_are_random() -> None:
    """Each webhook has 32 random bytes as its secret, and an id that sorts by the time and is nobody else's."""
    made = [webhooks.new_webhook("https://hooks.example.com/", None, FIRST) for _ in range(20)]
    for one in made:
        assert one.secret.startswith("whsec_")
        assert len(base64.b64decode(one.secret.removeprefix("whsec_"), validate=True)) == 32
        assert one.webhook_id.startswith("wh_20250301100000_")
        assert webhooks.is_webhook_id(one.webhook_id)
    assert len({one.secret for one in made}) == len({one.webhook_id for one in made}) == 20
    later = webhooks.new_webhook("https://hooks.example.com/", None, FIRST + timedelta(seconds=1))
    assert later.webhook_id > max(one.webhook_id for one in made)


@pytest.mark.parametrize("text", ["", "wh_", "wh_20250301100000_", "wh_20250301100000_zzzzzzzzzzzz", "x" * 3000])
def test_other_texts_are_no_webhook_ids(text: str) -> None:
    """What cannot be an id is not asked for."""
    assert not webhooks.is_webhook_id(text)


def test_a_delivery_is_tried_eight_times_in_a_day() -> None:
    """After the first attempt: 1, 5 and 30 minutes, 2, 6, 12 and 24 hours later; then it is given up."""
    now: datetime | None = FIRST
    times = []
    while now is not None:
        times.append(now - FIRST)
        now = webhooks.next_attempt(FIRST, now)
    minutes = [0, 1, 5, 30, 120, 360, 720, 1440]
    assert times == [timedelta(minutes=one) for one in minutes]


@pytest.mark.parametrize(
    "after,following",
    [
        # A little early, by another machine's clock.
        (timedelta(seconds=59, milliseconds=900), timedelta(minutes=5)),
        # Late: what was missed is not caught up with.
        (timedelta(minutes=4), timedelta(minutes=5)),
        (timedelta(minutes=4, seconds=45), timedelta(minutes=30)),
        (timedelta(hours=3), timedelta(hours=6)),
        (timedelta(hours=23, minutes=59), timedelta(hours=24)),
        (timedelta(hours=24), None),
        (timedelta(days=3), None),
    ],
)
def test_a_late_attempt_goes_on_with_the_schedule(after: timedelta, following: timedelta | None) -> None:
    """The schedule counts from the first attempt, never two attempts within half a minute, and ends after the day."""
    assert webhooks.next_attempt(FIRST, FIRST + after) == (None if following is None else FIRST + following)


@pytest.mark.parametrize(
    "webhook",
    [
        webhooks.new_webhook("https://hooks.example.com/a?b=c", None, FIRST),
        webhooks.new_webhook("https://hooks.example.com/", frozenset({Kind.ARREARS, Kind.STOPPED}), FIRST),
        Webhook(
            "wh_20250301100000_0123456789ab",
            "https://hooks.example.com/",
            frozenset(),
            "whsec_AAAA",
            FIRST,
            FIRST + timedelta(days=1),
            Reason.FAILING,
            FIRST + timedelta(hours=1),
            FIRST + timedelta(minutes=2),
        ),
    ],
)
def test_a_webhook_is_read_as_it_was_written(webhook: Webhook) -> None:
    """Nothing of a webhook is lost in the table."""
    assert webhooks.webhook_from_item(webhooks.webhook_to_item("acct-1", webhook)) == webhook


def test_a_webhook_wants_its_kinds() -> None:
    """One without kinds takes all of them; one that is switched off is not enabled."""
    everything = webhooks.new_webhook("https://hooks.example.com/", None, FIRST)
    some = webhooks.new_webhook("https://hooks.example.com/", frozenset({Kind.ARREARS}), FIRST)
    assert all(map(everything.wants, Kind))
    assert [kind for kind in Kind if some.wants(kind)] == [Kind.ARREARS]
    assert everything.enabled
    assert not everything.succeeded_since(FIRST)


@pytest.mark.parametrize(
    "seconds,outcome,slow",
    [
        (0.1, 200, False),
        (5.0, 200, False),
        (5.1, 200, True),
        (5.0, 500, False),
        (5.1, 500, True),
        (0.1, egress.TimedOutError(), True),
        (0.1, egress.UnreachableError(), False),
        (3.0, egress.UnreachableError(), False),
        (3.1, egress.UnreachableError(), True),
        (3.1, egress.UnknownHostError(), True),
        (0.1, egress.BlockedAddressError(), False),
    ],
)
def test_what_takes_long_is_slow(seconds: float, outcome: int | egress.EgressError, slow: bool) -> None:  # noqa: FBT001
    """An answer after more than 5 seconds, none after more than 3, or a time-out: whatever the answer says."""
    assert webhooks.is_slow(seconds, outcome) is slow


def test_a_webhook_rests_until_its_moment() -> None:
    """One that never was slow does not rest, and at the end of the minute it is over."""
    webhook = webhooks.new_webhook("https://hooks.example.com/", None, FIRST)
    assert not webhook.rests(FIRST)
    resting = Webhook(webhook.webhook_id, webhook.url, None, webhook.secret, FIRST, resting_until=FIRST)
    assert resting.rests(FIRST - timedelta(seconds=1))
    assert not resting.rests(FIRST)


# --- The example for readers ------------------------------------------------------------------------------------------

SENT_AT = datetime(2025, 3, 1, 2, 0, tzinfo=UTC)


@pytest.fixture
def is_genuine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, str], bytes], bool]:
    """The function that docs/notices.md shows, on a machine whose clock says when the request was sent."""
    [example] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(example.splitlines()) <= 12
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - our own document, as its readers would run it
    monkeypatch.setattr("time.time", SENT_AT.timestamp)
    found: Callable[[str, dict[str, str], bytes], bool] = names["is_genuine"]
    return found


def test_the_example_verifies_our_requests(is_genuine: Callable[[str, dict[str, str], bytes], bool]) -> None:
    """What the page for readers shows takes our requests, also with another signature beside ours."""
    webhook = webhooks.new_webhook("https://hooks.example.com/", None, FIRST)
    body = webhooks.message_of(KEPT)
    headers = webhooks.headers_of(webhook, KEPT, body, SENT_AT)
    assert is_genuine(webhook.secret, headers, body)
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']}"
    assert is_genuine(webhook.secret, headers, body)


@pytest.mark.parametrize("spoilt", ["body", "secret", "webhook-id", "webhook-timestamp", "webhook-signature", "late"])
def test_the_example_refuses_others(is_genuine: Callable[[str, dict[str, str], bytes], bool], spoilt: str) -> None:
    """It refuses whatever was changed on the way, another's secret, and a request that was kept for later."""
    webhook, other = (webhooks.new_webhook("https://hooks.example.com/", None, FIRST) for _ in range(2))
    body = webhooks.message_of(KEPT)
    sent_at = SENT_AT - timedelta(seconds=301) if spoilt == "late" else SENT_AT
    headers = webhooks.headers_of(webhook, KEPT, body, sent_at)
    if spoilt in headers:
        headers[spoilt] = headers[spoilt][:-1] + ("1" if headers[spoilt][-1] == "0" else "0")
    secret = other.secret if spoilt == "secret" else webhook.secret
    assert not is_genuine(secret, headers, body + b" " if spoilt == "body" else body)


def test_the_page_names_what_is_sent() -> None:
    """The page for readers has every header of the scheme, the message as it is made, the schedule and the limits."""
    webhook = webhooks.new_webhook("https://hooks.example.com/", None, FIRST)
    named = [name for name in webhooks.headers_of(webhook, KEPT, b"", SENT_AT) if name.startswith("webhook-")]
    assert len(named) == 3
    assert [name for name in named if f"| `{name}` |" not in PAGE] == []
    event, message = map(json.loads, re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
    assert message == {
        "type": event["detail-type"],
        "timestamp": event["detail"]["occurred_at"],
        "data": event["detail"],
    }
    assert list(message) == list(json.loads(webhooks.message_of(KEPT)))
    assert "1, 5 and 30 minutes and 2, 6, 12 and 24 hours" in PAGE
    assert f"within {egress.TOTAL_SECONDS:.0f} seconds" in PAGE
    assert f"`{egress.BlockedAddressError.reason}`" in PAGE
    assert f"`{webhooks.RESTING}`" in PAGE
