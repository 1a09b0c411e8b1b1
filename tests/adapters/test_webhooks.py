"""Deliveries to webhooks: to whom, how often, and what becomes of an endpoint that keeps failing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from aws_platform import clients, clock, deliveries, egress, keys, webhooks
from aws_platform.deliveries import Delivery, Status
from aws_platform.notices import KeptNotice, notices_from_item, page_put
from aws_platform.settings import Settings
from aws_platform.webhooks import Reason, Webhook
from notify.webhooks import Sender
from rating.notices import Kind, Notice
from tests.adapters.steps import lose_answer, meanwhile
from tests.support.product import Product, queue_records

URL = "https://hooks.example.com/secret-path?token=secret-token"
OTHER = "https://other.example.com/"
ACCOUNT = "acct-1"
MINUTES = [0, 1, 5, 30, 120, 360, 720, 1440]


def register(product: Product, url: str = URL, *kinds: Kind) -> Webhook:
    """A webhook in the table."""
    webhook = webhooks.new_webhook(url, frozenset(kinds) or None, product.now)
    product.dynamodb.put_item(TableName="ledger", Item=webhooks.webhook_to_item(ACCOUNT, webhook))
    return webhook


def happen(product: Product, kind: Kind = Kind.ARREARS, name: str = "one", **data: Any) -> KeptNotice:
    """A notice in the table."""
    page_id = f"{product.now:%Y%m%d%H%M%S}-{name}"
    notice = Notice(kind, product.now, data)
    product.dynamodb.transact_write_items(TransactItems=[page_put("ledger", ACCOUNT, page_id, [notice])])
    return KeptNotice(f"{page_id}-0001", ACCOUNT, notice)


def message(kept: KeptNotice) -> str:
    """A notice as the bus hands it to the queue."""
    return json.dumps({"source": "zhangben", "detail-type": kept.notice.kind.value, "detail": kept.event()})


def tell(product: Product, kept: KeptNotice, *, again: bool = False) -> list[str]:
    """Hand a notice to the function; the ids of the messages that come again."""
    return take(product, message(kept), receives=2 if again else 1)


def retry(product: Product, sort_key: str) -> list[str]:
    """Hand a delivery that is due to the function."""
    return take(product, json.dumps({"retry": {"account_id": ACCOUNT, "delivery": sort_key}}))


def take(product: Product, *bodies: str, receives: int = 1) -> list[str]:
    """Hand messages to the function; the ids of those that come again."""
    event = queue_records(bodies)
    for record in event["Records"]:
        record["attributes"] = {"ApproximateReceiveCount": str(receives)}
    answer = product.invoke("WebhooksFunction", event)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def place(kept: KeptNotice, webhook: Webhook) -> str:
    """Sort key of a delivery."""
    return keys.delivery(kept.notice_id, "webhook", webhook.webhook_id)


def delivery(product: Product, kept: KeptNotice, webhook: Webhook) -> Delivery:
    """A delivery that is in the table."""
    found = deliveries.read_delivery(product.dynamodb, "ledger", ACCOUNT, place(kept, webhook))
    assert found is not None
    return found


def stored(product: Product, webhook: Webhook) -> Webhook:
    """A webhook as it is now."""
    found = webhooks.read_webhook(product.dynamodb, "ledger", ACCOUNT, webhook.webhook_id)
    assert found is not None
    return found


def switched_off(product: Product) -> list[Mapping[str, Any]]:
    """The data of every notice that tells that a webhook was switched off."""
    pages = product.dynamodb.scan(TableName="ledger")["Items"]
    told = [kept.notice for item in pages if item["sk"]["S"].startswith("N#") for kept in notices_from_item(item)]
    return [notice.data for notice in told if notice.kind is Kind.WEBHOOK_DISABLED]


def urls(product: Product) -> list[str]:
    """Where requests went, in order."""
    return [one.url for one in product.posts]


def day_of_failures(product: Product, kept: KeptNotice, webhook: Webhook) -> list[datetime]:
    """Every attempt of a delivery until there is none planned; when they were."""
    attempts = [product.now]
    assert tell(product, kept) == []
    while (due := delivery(product, kept, webhook).due) is not None:
        product.now = due
        attempts.append(due)
        assert len(attempts) <= 20
        assert retry(product, place(kept, webhook)) == []
    return attempts


def test_a_notice_goes_to_every_webhook_that_wants_it(product: Product) -> None:
    """Each enabled webhook of the account that takes the kind gets it once, signed with its own secret."""
    everything, some = register(product), register(product, OTHER, Kind.ARREARS, Kind.STOPPED)
    unwanted = register(product, "https://third.example.com/", Kind.STOPPED)
    kept = happen(product, balance="-1.00")
    assert tell(product, kept) == []
    assert sorted(urls(product)) == [URL, OTHER]
    for posted in product.posts:
        webhook = everything if posted.url == URL else some
        key = base64.b64decode(webhook.secret.removeprefix("whsec_"))
        signed = f"{posted.headers['webhook-id']}.{posted.headers['webhook-timestamp']}.".encode() + posted.body
        mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert posted.headers["webhook-signature"] == f"v1,{mac}"
        assert abs(int(posted.headers["webhook-timestamp"]) - clock.machine_now().timestamp()) < 60
        assert json.loads(posted.body)["data"] == kept.event()
        found = delivery(product, kept, webhook)
        assert (found.status, found.attempts, found.due) == (Status.SENT, 1, None)
        assert stored(product, webhook).last_success_at == product.now
    assert delivery(product, kept, everything).recipient == "hooks.example.com"
    sort_key = place(kept, unwanted)
    assert deliveries.read_delivery(product.dynamodb, "ledger", ACCOUNT, sort_key) is None


@pytest.mark.parametrize("again", [False, True])
def test_a_message_that_comes_twice_is_sent_once(product: Product, again: bool) -> None:  # noqa: FBT001
    """A delivery that has arrived is over, however often its message comes."""
    register(product)
    kept = happen(product)
    tell(product, kept)
    assert tell(product, kept, again=again) == []
    assert len(product.posts) == 1


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503, 0])
def test_an_endpoint_that_fails_for_a_day_is_switched_off(product: Product, status: int) -> None:
    """After eight attempts in a day the delivery is given up; the webhook goes off with one notice of it."""
    webhook = register(product)
    product.inbox.statuses[URL] = status
    first, kept = product.now, happen(product)
    attempts = day_of_failures(product, kept, webhook)
    assert attempts == [first + timedelta(minutes=one) for one in MINUTES]
    assert len(product.posts) == 8
    assert len({one.headers["webhook-id"] for one in product.posts}) == 1
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts) == (Status.FAILED, 8)
    assert found.detail == (f"http_{status}" if status else "timed_out")
    off = stored(product, webhook)
    assert (off.enabled, off.disabled_reason, off.disabled_at) == (False, Reason.FAILING, product.now)
    assert switched_off(product) == [
        {
            "webhook_id": webhook.webhook_id,
            "host": "hooks.example.com",
            "reason": "failing",
            "since": "2025-03-01T10:00:00+08:00",
        }
    ]


def test_an_endpoint_that_recovers_gets_the_notice(product: Product) -> None:
    """A retry that succeeds ends the delivery, and what failed before is forgotten."""
    webhook = register(product)
    product.inbox.statuses[URL] = 500
    kept = happen(product)
    tell(product, kept)
    planned = delivery(product, kept, webhook)
    assert (planned.status, planned.detail, planned.due) == (
        Status.PENDING,
        "http_500",
        product.now + timedelta(minutes=1),
    )
    product.inbox.statuses[URL] = 200
    product.now += timedelta(minutes=1)
    assert retry(product, place(kept, webhook)) == []
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts, found.detail, found.due) == (Status.SENT, 2, "", None)
    assert stored(product, webhook).last_success_at == product.now


@pytest.mark.parametrize("seconds,enabled", [(-1, False), (0, True), (1, True)])
def test_one_success_since_the_first_attempt_keeps_the_webhook_on(
    product: Product,
    seconds: int,
    enabled: bool,  # noqa: FBT001
) -> None:
    """A delivery that fails for a day is given up alone where another has arrived since it was first tried."""
    webhook = register(product)
    first = product.now
    product.now = first + timedelta(seconds=seconds)
    assert tell(product, happen(product, name="good")) == []
    product.now = first
    product.inbox.statuses[URL] = 500
    kept = happen(product)
    day_of_failures(product, kept, webhook)
    assert delivery(product, kept, webhook).status is Status.FAILED
    assert stored(product, webhook).enabled is enabled
    assert len(switched_off(product)) == (not enabled)


def test_a_success_at_the_last_moment_keeps_the_webhook_on(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule holds against a delivery that arrives between the look and the switching off."""
    webhook = register(product)
    product.inbox.statuses[URL] = 500
    kept = happen(product)
    tell(product, kept)
    product.now += timedelta(days=1)

    def arrive() -> None:
        webhooks.record_success(product.dynamodb, "ledger", ACCOUNT, webhook, product.now)

    meanwhile(monkeypatch, arrive)
    assert retry(product, place(kept, webhook)) == []
    assert delivery(product, kept, webhook).status is Status.FAILED
    assert stored(product, webhook).enabled
    assert switched_off(product) == []


def test_410_switches_off_at_once(product: Product) -> None:
    """Gone means gone: no further attempt, even where the endpoint took something a moment ago."""
    webhook = register(product)
    tell(product, happen(product, name="good"))
    product.inbox.statuses[URL] = 410
    kept = happen(product)
    assert tell(product, kept) == []
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts, found.detail, found.due) == (Status.FAILED, 1, "http_410", None)
    assert stored(product, webhook).disabled_reason is Reason.GONE
    assert [(one["reason"], one["since"]) for one in switched_off(product)] == [("gone", "2025-03-01T10:00:00+08:00")]


def test_several_deliveries_that_fail_switch_off_once(product: Product) -> None:
    """However many deliveries end at one moment, a webhook is switched off once and told of once."""
    webhook = register(product)
    product.inbox.statuses[URL] = 410
    kept = [happen(product, name=f"n{number}") for number in range(3)]
    assert take(product, *map(message, kept)) == []
    statuses = [delivery(product, one, webhook).status for one in kept]
    # All three were claimed by one look at the webhook.
    assert statuses == [Status.FAILED] * 3
    assert len(switched_off(product)) == 1


def test_a_switching_off_whose_answer_is_lost_happens_once(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction is not written again when it was written and only its answer got lost."""
    webhook = register(product)
    product.inbox.statuses[URL] = 410
    kept = happen(product)
    lose_answer(monkeypatch)
    assert tell(product, kept) == []
    assert delivery(product, kept, webhook).status is Status.FAILED
    assert len(switched_off(product)) == 1


def test_a_claim_that_was_lost_switches_nothing_off(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was too slow leaves the outcome to whoever has the claim now."""
    webhook = register(product)
    product.inbox.statuses[URL] = 410
    kept = happen(product)

    def take_over() -> None:
        product.dynamodb.update_item(
            TableName="ledger",
            Key={"pk": {"S": keys.ledger(ACCOUNT)}, "sk": {"S": place(kept, webhook)}},
            UpdateExpression="SET #t = :other",
            ExpressionAttributeNames={"#t": "token"},
            ExpressionAttributeValues={":other": {"S": "other"}},
        )

    meanwhile(monkeypatch, take_over)
    assert tell(product, kept) == []
    assert delivery(product, kept, webhook).status is Status.SENDING
    assert stored(product, webhook).enabled
    assert switched_off(product) == []


def off(product: Product, webhook: Webhook) -> None:
    """Switch a webhook off."""
    items = webhooks.switch_off_items("ledger", ACCOUNT, webhook, Reason.GONE, product.now, product.now)
    product.dynamodb.transact_write_items(TransactItems=items)


def delete(product: Product, webhook: Webhook) -> None:
    """Delete a webhook."""
    webhooks.delete_webhook(product.dynamodb, "ledger", ACCOUNT, webhook.webhook_id)


@pytest.mark.parametrize("end", [off, delete])
def test_what_is_planned_for_a_webhook_that_is_off_is_suppressed(
    product: Product, end: Callable[[Product, Webhook], None]
) -> None:
    """Nothing more is sent to a webhook that was switched off or deleted, and its deliveries say so."""
    webhook = register(product)
    product.inbox.statuses[URL] = 500
    kept = happen(product)
    tell(product, kept)
    end(product, webhook)
    product.now += timedelta(minutes=1)
    for _ in range(2):
        assert retry(product, place(kept, webhook)) == []
        found = delivery(product, kept, webhook)
        assert (found.status, found.detail, found.due) == (Status.SUPPRESSED, "webhook_off", None)
    assert tell(product, happen(product, name="later")) == []
    assert len(product.posts) == 1


@pytest.mark.parametrize("end", [off, delete])
def test_an_attempt_that_nobody_ended_is_suppressed_too(
    product: Product, monkeypatch: pytest.MonkeyPatch, end: Callable[[Product, Webhook], None]
) -> None:
    """Where a process died while it sent and the webhook is off by then, the message's next try ends the delivery."""
    webhook = register(product)
    kept = happen(product)
    deliveries.claim(product.dynamodb, "ledger", ACCOUNT, place(kept, webhook), "hooks.example.com", product.now)
    end(product, webhook)
    assert tell(product, kept, again=True) == ["m-0"]
    over = clock.machine_now() + timedelta(minutes=10)
    monkeypatch.setattr(clock, "machine_now", lambda: over)
    assert tell(product, kept, again=True) == []
    assert delivery(product, kept, webhook).status is Status.SUPPRESSED
    assert product.posts == []


def test_the_notice_of_a_switching_off_goes_to_the_other_webhooks(product: Product) -> None:
    """A webhook is not told of its own end; the account's others are."""
    webhook, other = register(product), register(product, OTHER)
    product.inbox.statuses[URL] = 410
    tell(product, happen(product))
    about = next(
        kept
        for item in product.dynamodb.scan(TableName="ledger")["Items"]
        if item["sk"]["S"].startswith("N#") and "webhook" in item["sk"]["S"]
        for kept in notices_from_item(item)
    )
    assert about.notice_id == f"20250301100000-webhook-{webhook.webhook_id}-0001"
    assert tell(product, about) == []
    assert sorted(urls(product)) == [URL, OTHER, OTHER]
    assert delivery(product, about, other).status is Status.SENT


def test_a_blocked_address_is_a_failed_attempt(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that leads to a private address is tried again like any other failure: its name may be mended."""

    def refuse(*_: object, **__: object) -> int:
        raise egress.BlockedAddressError

    webhook = register(product)
    monkeypatch.setattr(egress, "post", refuse)
    kept = happen(product)
    assert tell(product, kept) == []
    found = delivery(product, kept, webhook)
    assert (found.status, found.detail, found.attempts) == (Status.PENDING, "blocked_address", 1)


def test_one_webhook_does_not_hold_up_another(product: Product) -> None:
    """What is being sent by another process comes again; the other webhooks have theirs, once."""
    busy, _ = register(product), register(product, OTHER)
    kept = happen(product)
    deliveries.claim(product.dynamodb, "ledger", ACCOUNT, place(kept, busy), "hooks.example.com", product.now)
    assert tell(product, kept) == ["m-0"]
    assert tell(product, kept, again=True) == ["m-0"]
    assert urls(product) == [OTHER]


def test_an_attempt_whose_outcome_nobody_knows_is_made_again(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process died while it sent, the delivery is sent once more when the lease is over."""
    webhook = register(product)
    kept = happen(product)
    deliveries.claim(product.dynamodb, "ledger", ACCOUNT, place(kept, webhook), "hooks.example.com", product.now)
    over = clock.machine_now() + timedelta(minutes=10)
    monkeypatch.setattr(clock, "machine_now", lambda: over)
    assert tell(product, kept, again=True) == []
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts) == (Status.SENT, 2)


def test_a_message_that_comes_again_leaves_planned_attempts_to_the_sweep(product: Product) -> None:
    """That another webhook's delivery failed unexpectedly is no reason to try this one early."""
    webhook = register(product)
    product.inbox.statuses[URL] = 500
    kept = happen(product)
    tell(product, kept)
    before = delivery(product, kept, webhook)
    assert tell(product, kept, again=True) == []
    assert delivery(product, kept, webhook) == before
    assert len(product.posts) == 1


def test_a_success_that_was_half_recorded_is_recorded_when_the_message_comes_again(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a process died between the delivery's record and the webhook's, the second one follows; nothing is sent."""
    webhook = register(product)
    kept = happen(product)

    def die(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "record_success", die)
        assert tell(product, kept) == ["m-0"]
    assert stored(product, webhook).last_success_at is None
    sent_at = product.now
    product.now += timedelta(minutes=6)
    assert tell(product, kept, again=True) == []
    assert stored(product, webhook).last_success_at == sent_at
    assert len(product.posts) == 1


def test_a_success_does_not_bring_back_a_deleted_webhook(product: Product) -> None:
    """What is recorded of a webhook is recorded only where there is one, and never goes back in time."""
    webhook = register(product)
    for at in (product.now, product.now - timedelta(hours=1)):
        webhooks.record_success(product.dynamodb, "ledger", ACCOUNT, webhook, at)
        assert stored(product, webhook).last_success_at == product.now
    delete(product, webhook)
    webhooks.record_success(product.dynamodb, "ledger", ACCOUNT, webhook, product.now)
    assert webhooks.webhooks_of(product.dynamodb, "ledger", ACCOUNT) == []


@pytest.mark.parametrize(
    "poison",
    [
        "",
        "no JSON",
        "{}",
        '{"detail": {"kind": "unheard_of"}}',
        '{"retry": {"account_id": "acct-1", "delivery": "D#20250301100000-no-0001#webhook#wh_20250301100000_x"}}',
        '{"retry": {"account_id": "acct-1", "delivery": "nonsense"}}',
    ],
)
def test_a_poison_message_fails_alone(product: Product, poison: str) -> None:
    """What cannot be read, or is about nothing, comes again and at last to the dead letters; its neighbour is sent."""
    register(product)
    assert take(product, poison, message(happen(product)), poison) == ["m-0", "m-2"]
    assert len(product.posts) == 1


def test_logs_tell_no_secrets(
    product: Product, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a URL only the host is logged, for customers keep tokens in paths; whatever goes wrong."""

    def explode(*_: object, **__: object) -> int:
        raise RuntimeError(URL)

    webhook = register(product)
    product.inbox.statuses[URL] = 500
    tell(product, happen(product))
    monkeypatch.setattr(egress, "post", explode)
    assert tell(product, happen(product, name="two")) == ["m-0"]
    written = "".join(str(vars(record)) for record in caplog.records)
    assert "hooks.example.com" in written
    assert "RuntimeError" in written
    for secret in ("secret", webhook.secret):
        assert secret not in written


def test_the_sweep_brings_retries(product: Product) -> None:
    """From the failed attempt over the due-index, the sweep and the queue to the next attempt."""
    product.open_account(ACCOUNT)
    webhook = register(product)
    product.inbox.statuses[URL] = 500
    kept = happen(product)
    tell(product, kept)
    product.inbox.statuses[URL] = 200
    product.now += timedelta(minutes=1)
    product.sweep()
    product.notify()
    assert delivery(product, kept, webhook).status is Status.SENT


def test_an_unanswered_table_sends_the_message_again(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even the webhooks can be read, nothing is sent and the message comes again."""
    register(product)
    kept = happen(product)

    def refuse(**_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(clients.dynamodb(), "query", refuse)
        assert tell(product, kept) == ["m-0"]
    assert product.posts == []
    assert tell(product, kept, again=True) == []
    assert len(product.posts) == 1


# --- Endpoints that rest ----------------------------------------------------------------------------------------------


def attempt(product: Product, kept: KeptNotice, seconds: float) -> None:
    """Tell a notice, where every attempt takes so long."""
    readings = iter(range(100))
    sender = Sender(product.dynamodb, Settings.from_environment(), product.now, lambda: next(readings) * seconds)
    for job in sender.jobs({"body": message(kept)}):
        job()


def rest(product: Product, webhook: Webhook) -> None:
    """Let a webhook rest from now on."""
    webhooks.rest(product.dynamodb, "ledger", ACCOUNT, webhook, product.now)


def begun(product: Product, kept: KeptNotice, webhook: Webhook) -> None:
    """A delivery that somebody is sending."""
    claim = deliveries.claim(
        product.dynamodb, "ledger", ACCOUNT, place(kept, webhook), "hooks.example.com", product.now
    )
    assert claim is not None


@pytest.mark.parametrize(
    "status,seconds,rests",
    [(0, 0, True), (204, 5, False), (204, 6, True), (500, 5, False), (500, 6, True), (410, 6, True)],
)
def test_an_endpoint_that_is_slow_rests_for_a_minute(
    product: Product,
    status: int,
    seconds: float,
    rests: bool,  # noqa: FBT001
) -> None:
    """A time-out, or an answer after more than 5 seconds, good or bad; the outcome is recorded like any other."""
    webhook = register(product)
    product.inbox.statuses[URL] = status
    kept = happen(product)
    attempt(product, kept, seconds)
    assert stored(product, webhook).resting_until == (product.now + timedelta(minutes=1) if rests else None)
    expected = {204: Status.SENT, 410: Status.FAILED}
    assert delivery(product, kept, webhook).status is expected.get(status, Status.PENDING)


def test_a_notice_waits_for_an_endpoint_that_rests(product: Product) -> None:
    """It is kept without an attempt for the next time of its schedule; another endpoint has it at once."""
    webhook, other = register(product), register(product, OTHER)
    rest(product, webhook)
    product.now += timedelta(seconds=30)
    kept = happen(product)
    assert tell(product, kept) == []
    assert urls(product) == [OTHER]
    assert delivery(product, kept, other).status is Status.SENT
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts, found.detail) == (Status.PENDING, 0, "resting")
    assert (found.at, found.due) == (product.now, product.now + timedelta(minutes=1))
    assert found.recipient == "hooks.example.com"
    assert tell(product, kept, again=True) == []
    assert delivery(product, kept, webhook) == found
    product.now += timedelta(minutes=1)
    assert retry(product, place(kept, webhook)) == []
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts, found.detail, found.due) == (Status.SENT, 1, "", None)


def test_the_sweep_brings_what_waited(product: Product) -> None:
    """A delivery that waits for its endpoint is in the due-index like one that failed."""
    product.open_account(ACCOUNT)
    webhook = register(product)
    rest(product, webhook)
    kept = happen(product)
    tell(product, kept)
    product.now += timedelta(minutes=1)
    product.sweep()
    product.notify()
    assert delivery(product, kept, webhook).status is Status.SENT


def test_a_retry_waits_for_an_endpoint_that_rests(product: Product) -> None:
    """It goes on with its schedule, keeps why it failed, and counts no attempt."""
    webhook = register(product)
    product.inbox.statuses[URL] = 500
    first, kept = product.now, happen(product)
    tell(product, kept)
    product.now += timedelta(minutes=1)
    rest(product, webhook)
    assert retry(product, place(kept, webhook)) == []
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts, found.detail) == (Status.PENDING, 1, "http_500")
    assert found.due == first + timedelta(minutes=5)
    assert len(product.posts) == 1


def test_slow_endpoints_cost_one_attempt_a_minute_each(product: Product) -> None:
    """Whatever is told, new or again, an endpoint that does not answer is asked once until its rest is over."""
    hooks = [register(product, f"https://{number}.example.com/") for number in range(10)]
    product.inbox.statuses.update({one.url: 0 for one in hooks})
    told = []
    for second in range(0, 180, 6):
        told.append(happen(product, name=f"{second:03d}"))
        assert tell(product, told[-1]) == []
        product.now += timedelta(seconds=6)
    assert len(product.posts) == 10 * 3
    product.now -= timedelta(seconds=6)
    for kept in told:
        for webhook in hooks:
            assert retry(product, place(kept, webhook)) == []
    assert len(product.posts) == 10 * 3


def test_a_rest_only_grows(product: Product) -> None:
    """An attempt that began earlier does not end the rest sooner, and no rest brings back a deleted webhook."""
    webhook = register(product)
    for at in (product.now, product.now - timedelta(seconds=30)):
        webhooks.rest(product.dynamodb, "ledger", ACCOUNT, webhook, at)
        assert stored(product, webhook).resting_until == product.now + timedelta(minutes=1)
    later = product.now + timedelta(seconds=30)
    webhooks.rest(product.dynamodb, "ledger", ACCOUNT, webhook, later)
    assert stored(product, webhook).resting_until == later + timedelta(minutes=1)
    delete(product, webhook)
    rest(product, webhook)
    assert webhooks.webhooks_of(product.dynamodb, "ledger", ACCOUNT) == []


def test_the_last_attempt_is_made_though_the_endpoint_rests(product: Product) -> None:
    """A delivery whose day is over is not given up without an attempt, nor kept any longer."""
    webhook = register(product)
    product.inbox.statuses[URL] = 500
    kept = happen(product)
    tell(product, kept)
    product.now += timedelta(days=1)
    rest(product, webhook)
    product.inbox.statuses[URL] = 204
    assert retry(product, place(kept, webhook)) == []
    assert delivery(product, kept, webhook).status is Status.SENT
    assert stored(product, webhook).enabled
    assert len(product.posts) == 2


def test_the_day_of_failures_begins_with_the_first_attempt(product: Product) -> None:
    """A delivery that waited has its eight attempts in a day from then on, and only these switch its webhook off."""
    webhook = register(product)
    product.inbox.statuses[URL] = 500
    rest(product, webhook)
    kept = happen(product)
    tell(product, kept)
    first = product.now + timedelta(minutes=1)
    attempts = []
    while (due := delivery(product, kept, webhook).due) is not None:
        product.now = due
        attempts.append(due)
        assert retry(product, place(kept, webhook)) == []
    assert attempts == [first + timedelta(minutes=one) for one in MINUTES]
    assert delivery(product, kept, webhook).attempts == len(product.posts) == 8
    assert [one["since"] for one in switched_off(product)] == ["2025-03-01T10:01:00+08:00"]


def test_one_attempt_after_a_day_of_waiting_switches_nothing_off(product: Product) -> None:
    """A delivery waits for a day at most; that it fails then is the beginning of its failures, not their end."""
    webhook = register(product)
    product.inbox.statuses[URL] = 500
    kept, waited = happen(product), [product.now]
    rest(product, webhook)
    tell(product, kept)
    while not product.posts:
        due = delivery(product, kept, webhook).due
        assert due is not None
        product.now = due
        waited.append(due)
        rest(product, webhook)
        assert retry(product, place(kept, webhook)) == []
    assert waited == [waited[0] + timedelta(minutes=one) for one in MINUTES]
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts, found.due) == (Status.PENDING, 1, product.now + timedelta(minutes=1))
    assert stored(product, webhook).enabled
    assert switched_off(product) == []


def test_what_is_being_sent_or_over_stays_as_it_is_while_the_endpoint_rests(product: Product) -> None:
    """A delivery that another process sends comes again, and one that has arrived is over."""
    webhook = register(product)
    arrived, busy = happen(product, name="arrived"), happen(product, name="busy")
    tell(product, arrived)
    begun(product, busy, webhook)
    rest(product, webhook)
    before = [delivery(product, one, webhook) for one in (arrived, busy)]
    assert take(product, message(arrived), message(busy)) == ["m-1"]
    assert [delivery(product, one, webhook) for one in (arrived, busy)] == before
    assert len(product.posts) == 1


def test_an_attempt_whose_outcome_nobody_knows_waits_too(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process died while it sent and the endpoint rests, the delivery is free for its next time."""
    webhook = register(product)
    kept = happen(product)
    begun(product, kept, webhook)
    rest(product, webhook)
    over = clock.machine_now() + timedelta(minutes=10)
    monkeypatch.setattr(clock, "machine_now", lambda: over)
    assert tell(product, kept, again=True) == []
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts, found.due) == (Status.PENDING, 1, product.now + timedelta(minutes=1))
    assert product.posts == []
    product.now += timedelta(minutes=1)
    assert retry(product, place(kept, webhook)) == []
    assert delivery(product, kept, webhook).status is Status.SENT


def test_a_wait_whose_answer_is_lost_is_planned_once(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table may have been written all the same; looking again finds the same plan."""
    webhook = register(product)
    rest(product, webhook)
    kept = happen(product)
    client = clients.dynamodb()
    update = client.update_item

    def lost(**request: Any) -> Any:
        monkeypatch.setattr(client, "update_item", update)
        update(**request)
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    monkeypatch.setattr(client, "update_item", lost)
    assert tell(product, kept) == []
    found = delivery(product, kept, webhook)
    assert (found.status, found.attempts, found.due) == (Status.PENDING, 0, product.now + timedelta(minutes=1))


def test_a_wait_gives_way_to_whoever_sends_already(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process claims the delivery between the look and the plan, it keeps its claim."""
    webhook = register(product)
    rest(product, webhook)
    kept = happen(product)
    client = clients.dynamodb()
    update = client.update_item

    def second(**request: Any) -> Any:
        monkeypatch.setattr(client, "update_item", update)
        begun(product, kept, webhook)
        return update(**request)

    monkeypatch.setattr(client, "update_item", second)
    assert tell(product, kept) == ["m-0"]
    assert delivery(product, kept, webhook).status is Status.SENDING
    assert product.posts == []
