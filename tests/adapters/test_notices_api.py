"""The routes of notices, subscriptions and webhooks (contract, Notices and webhooks)."""

from __future__ import annotations

import base64
import json
import typing
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from aws_platform import clients, deliveries, keys, subscriptions, webhooks
from aws_platform.deliveries import Channel, Status
from aws_platform.notices import KeptNotice, notices_from_item, page_put
from aws_platform.subscriptions import BlockedAddress
from notices import cursors, inbox
from notices.models import DeliveryStatus, NoticeKind
from rating.allocation import Source
from rating.notices import Kind, Notice
from rating.report import report
from rating.wallet import WalletPackage
from tests.adapters.steps import A, lose_answer, meanwhile, pages, rows
from tests.support.product import CUSTOMER, Product, Reply

ACCOUNT = "acct-1"
NOTICES, SUBSCRIPTION, WEBHOOKS = f"{A}/notices", f"{A}/notice-subscriptions", f"{A}/webhooks"
URL = "https://hooks.example.com/path"
CONTACT = {"email": "billing@example.com", "phone": "13800138000", "locale": "en"}
ARREARS = {
    "balance": "-1.00",
    "since": "2025-03-01T10:00:00+08:00",
    "stops_at": "2025-03-02T10:00:00+08:00",
    "releases_at": "2025-04-01T10:00:00+08:00",
}
STOPPED = {"cause": "arrears", **ARREARS}
REFUND = {
    "refund_id": "r-1",
    "package_id": "pkg-1",
    "tag": "identity_check",
    "amount": "1.00",
    "refunds": {"cash": "1.00", "income_transfer": "0.00", "gift": "0.00"},
    "voucher_forfeited": "0.00",
}
DATA: dict[Kind, dict[str, Any]] = {
    Kind.ARREARS: ARREARS,
    Kind.STOPPED: STOPPED,
    Kind.RELEASED: ARREARS,
    Kind.REFUND_COMPLETED: REFUND,
}


@pytest.fixture
def client(product: Product) -> Product:
    """The product with an account that has a contact."""
    body = {"account_id": ACCOUNT, "name": "Example", "contact": CONTACT}
    assert product.request("POST", "/v1/accounts", body).status == 201
    return product


def happen(product: Product, *kinds: Kind, name: str = "page") -> list[KeptNotice]:
    """A page of notices in the table."""
    page_id = f"{product.now:%Y%m%d%H%M%S}-{name}"
    told = [Notice(kind, product.now, DATA[kind]) for kind in kinds]
    put = page_put("ledger", ACCOUNT, page_id, told)
    product.dynamodb.transact_write_items(TransactItems=[put])
    return list(notices_from_item(put["Put"]["Item"]))


def delivered(
    product: Product,
    kept: KeptNotice,
    channel: Channel = Channel.EMAIL,
    recipient: str = "billing@example.com",
    status: Status = Status.SENT,
    recipient_id: str | None = None,
    due: datetime | None = None,
) -> None:
    """A delivery in the table."""
    sort_key = keys.delivery(kept.notice_id, channel, recipient_id or deliveries.recipient_key(recipient))
    claim = deliveries.claim(product.dynamodb, "ledger", ACCOUNT, sort_key, recipient, product.now)
    assert claim is not None
    timer = keys.timer(ACCOUNT, due, sort_key, 4) if due else None
    deliveries.finish(
        product.dynamodb, "ledger", claim, status, product.now, "" if status is Status.SENT else "x", timer
    )


def put(product: Product, **body: Any) -> Reply:
    """Replace the subscription, as the customer."""
    return product.request("PUT", SUBSCRIPTION, body, CUSTOMER, ACCOUNT)


def post(product: Product, url: str = URL, **body: Any) -> Reply:
    """Register a webhook, as the customer."""
    return product.request("POST", WEBHOOKS, {"url": url, **body}, CUSTOMER, ACCOUNT)


# --- Notices ----------------------------------------------------------------------------------------------------------


def test_the_models_name_every_kind_and_status() -> None:
    """What the document promises is what there is."""
    assert set(typing.get_args(NoticeKind)) == {kind.value for kind in Kind}
    assert set(typing.get_args(DeliveryStatus)) == {status.value for status in Status}


def test_an_account_without_notices_has_an_empty_list(client: Product) -> None:
    """Nothing happened, nothing is told."""
    assert client.get(NOTICES).body == {"items": [], "next_cursor": None}


def test_a_notice_is_shown_with_its_deliveries(client: Product) -> None:
    """The in-site message first, then every other channel with its recipient; each notice has its own."""
    first, second = happen(client, Kind.ARREARS, Kind.STOPPED)
    delivered(client, first)
    delivered(client, first, Channel.SMS, "+8613800138000", Status.REFUSED)
    delivered(client, second, Channel.WEBHOOK, "hooks.example.com", Status.PENDING, recipient_id="wh_1")
    client.now += timedelta(hours=1)
    items = client.get(NOTICES).body["items"]
    at = "2025-03-01T10:00:00+08:00"
    in_site = {"channel": "in_site", "status": "delivered", "at": at, "recipient": None}
    assert [item["deliveries"] for item in items] == [
        [
            in_site,
            {"channel": "email", "status": "sent", "at": at, "recipient": "billing@example.com"},
            {"channel": "sms", "status": "refused", "at": at, "recipient": "+8613800138000"},
        ],
        [in_site, {"channel": "webhook", "status": "pending", "at": at, "recipient": "hooks.example.com"}],
    ]
    assert items[0]["notice_id"] == first.notice_id
    assert (items[0]["kind"], items[0]["occurred_at"], items[0]["data"]) == ("arrears", at, ARREARS)
    assert items[0]["subject"]
    assert items[0]["body"]


def test_notices_are_told_in_the_language_of_the_subscription(client: Product) -> None:
    """The contact's language, until the subscription names another one."""
    happen(client, Kind.ARREARS)
    english = client.get(NOTICES).body["items"][0]
    assert put(client, locale="zh-CN").status == 200
    chinese = client.get(NOTICES).body["items"][0]
    assert english["subject"].isascii()
    assert not chinese["subject"].isascii()
    assert (english["kind"], english["data"]) == (chinese["kind"], chinese["data"])
    assert put(client, locale=None).status == 200
    assert client.get(NOTICES).body["items"][0] == english


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_notices_are_paged_oldest_first(client: Product, limit: int) -> None:
    """Pages of any size give every notice once in the order of time, also within one transaction's notices."""
    expected = []
    for size in (2, 3, 1, 4):
        expected += [one.notice_id for one in happen(client, *[Kind.ARREARS] * size)]
        client.now += timedelta(days=1)
    found = pages(client, NOTICES, limit)
    assert [item["notice_id"] for page in found for item in page] == expected
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)


def test_notices_of_one_kind_are_found_on_all_pages(client: Product) -> None:
    """A filter leaves out, and a cursor goes on behind the last one shown."""
    expected = []
    for _ in range(5):
        expected.append(happen(client, Kind.STOPPED, Kind.ARREARS, Kind.STOPPED)[1].notice_id)
        client.now += timedelta(days=1)
    found = pages(client, NOTICES, 2, kind="arrears")
    assert [item["notice_id"] for page in found for item in page] == expected
    assert client.get(NOTICES, kind="released").body["items"] == []


def test_a_page_far_into_the_list_does_not_read_what_is_before_it(
    client: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a cursor, the table is asked from the cursor's page on."""
    for _ in range(3):
        happen(client, Kind.ARREARS, Kind.STOPPED)
        client.now += timedelta(days=1)
    cursor = client.get(NOTICES, limit="5").body["next_cursor"]
    asked: list[str] = []
    query = clients.dynamodb().query

    def watched(**request: Any) -> Any:
        asked.append(request["ExpressionAttributeValues"].get(":first", {}).get("S", ""))
        return query(**request)

    monkeypatch.setattr(clients.dynamodb(), "query", watched)
    assert len(client.get(NOTICES, limit="5", cursor=cursor).body["items"]) == 1
    assert [one for one in asked if one.startswith("N#")] == ["N#20250303100000-page"]


def encoded(text: str) -> str:
    """As a cursor."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!!",
        "AA",
        encoded("~~~~~~~~~~"),
        encoded("nonsense"),
        encoded("20250301100000-page-0009"),
        encoded("20990301100000-page-0001"),
        encoded("1" * 700),
        base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(),
    ],
)
@pytest.mark.parametrize("path", ["notices", "deliveries"])
def test_a_cursor_that_names_nothing_is_refused(client: Product, path: str, cursor: str) -> None:
    """422, whatever it is and wherever in the order it would be."""
    webhook_id = post(client).body["webhook_id"]
    kept = happen(client, Kind.ARREARS)[0]
    delivered(client, kept, Channel.WEBHOOK, "hooks.example.com", recipient_id=webhook_id)
    url = NOTICES if path == "notices" else f"{WEBHOOKS}/{webhook_id}/deliveries"
    reply = client.get(url, cursor=cursor)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [error["field"] for error in reply.body["errors"]] == ["cursor"]


@pytest.mark.parametrize("query", [{"kind": "unheard_of"}, {"limit": "0"}, {"limit": "1001"}, {"limit": "x"}])
def test_parameters_of_notices_are_checked(client: Product, query: dict[str, str]) -> None:
    """422 for a kind that there is not and a page that is too large."""
    reply = client.get(NOTICES, **query)
    assert (reply.status, reply.code) == (422, "invalid_request")


class Reads:
    """What the table was asked for by queries, and how many items it gave."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        """Watch the client."""
        self._query = clients.dynamodb().query
        self.items: list[str] = []
        patch.setattr(clients.dynamodb(), "query", self)

    def __call__(self, **request: Any) -> Any:
        """Ask the table, and remember the sort keys that it gave."""
        answer = self._query(**request)
        self.items += [item["sk"]["S"] for item in answer["Items"]]
        return answer

    def taken(self, prefix: str) -> int:
        """How many items of a kind were read since the last time."""
        found = [one for one in self.items if one.startswith(prefix)]
        self.items = []
        return len(found)


def walk(product: Product, path: str, limit: int, **query: str) -> Iterator[list[dict[str, Any]]]:
    """All pages of a list, by its cursors; some may be empty."""
    cursor: dict[str, str] = {}
    for _ in range(1000):
        reply = product.get(path, limit=str(limit), **query, **cursor)
        assert reply.status == 200, reply.text
        assert len(reply.body["items"]) <= limit
        yield reply.body["items"]
        if reply.body["next_cursor"] is None:
            return
        cursor = {"cursor": reply.body["next_cursor"]}
    pytest.fail("the pages do not end")


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_request_for_few_of_many_notices_reads_a_part_of_them(
    client: Product, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """It answers what it has found, even nothing, and where to go on; so nothing is missed, and nothing comes twice."""
    monkeypatch.setattr(cursors, "AT_ONCE", 3)
    expected = []
    for number in range(40):
        kept = happen(client, Kind.STOPPED, Kind.ARREARS if number in {0, 17, 18, 39} else Kind.RELEASED)
        expected += [one.notice_id for one in kept if one.notice.kind is Kind.ARREARS]
        client.now += timedelta(minutes=1)
    reads = Reads(monkeypatch)
    found, sizes = [], []
    for page in walk(client, NOTICES, limit, kind="arrears"):
        found += [one["notice_id"] for one in page]
        sizes.append(len(page))
        assert reads.taken("N#") <= 6
    assert found == expected
    assert 0 in sizes


def test_one_request_reads_two_thousand_notices_at_most(client: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where none of them is of the kind that is asked for."""
    page = page_put("ledger", ACCOUNT, "x", [Notice(Kind.STOPPED, client.now, STOPPED)])["Put"]["Item"]
    for number in range(2100):
        item = {**page, "sk": {"S": keys.notice_page(f"20250301{number:06d}-x")}}
        client.dynamodb.put_item(TableName="ledger", Item=item)
    reads = Reads(monkeypatch)
    first = client.get(NOTICES, kind="arrears").body
    assert first["items"] == []
    assert reads.taken("N#") == 2000
    assert client.get(NOTICES, kind="arrears", cursor=first["next_cursor"]).body == {"items": [], "next_cursor": None}
    assert reads.taken("N#") == 101
    assert len(client.get(NOTICES, limit="3").body["items"]) == 3
    assert reads.taken("N#") <= 5


def test_the_deliveries_between_notices_that_are_shown_are_not_read(
    client: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of few notices costs what these few have."""
    for number in range(12):
        for kept in happen(client, Kind.ARREARS if number in {2, 9} else Kind.STOPPED):
            delivered(client, kept)
        client.now += timedelta(minutes=1)
    reads = Reads(monkeypatch)
    items = client.get(NOTICES, kind="arrears").body["items"]
    assert [len(one["deliveries"]) for one in items] == [2, 2]
    assert reads.taken("D#") == 2


@pytest.mark.parametrize("bound,most", [("MAX_DELIVERIES", 4), ("MAX_RUNS", 2)])
@pytest.mark.parametrize("kind", [None, "arrears"])
def test_a_page_ends_where_enough_deliveries_were_read(
    client: Product, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, kind: str | None
) -> None:
    """Its notices have all of theirs, and the next page has the rest."""
    expected = {}
    for number in range(9):
        for kept in happen(client, Kind.ARREARS, *[Kind.STOPPED] * (number % 2)):
            recipients = [f"{one}@example.com" for one in range(number % 4)]
            for recipient in recipients:
                delivered(client, kept, recipient=recipient)
            if kind in {None, kept.notice.kind}:
                expected[kept.notice_id] = {None, *recipients}
        client.now += timedelta(minutes=1)
    whole = client.get(NOTICES, **({"kind": kind} if kind else {})).body["items"]
    monkeypatch.setattr(inbox, bound, most)
    found = list(walk(client, NOTICES, 100, **({"kind": kind} if kind else {})))
    assert [one for page in found for one in page] == whole
    assert {one["notice_id"]: {each["recipient"] for each in one["deliveries"]} for one in whole} == expected
    assert (len(found) > 1) is (bound == "MAX_DELIVERIES" or kind is not None)


def test_a_page_ends_before_it_is_too_long_for_an_answer(client: Product) -> None:
    """A thousand long reports come on several pages, each below the 6 MB that Lambda hands over."""
    calls = {date(2025, 2, 28): {f"tag_{number}": 1000 for number in range(32)}}
    package = WalletPackage("pkg-20250301100000-0123456789ab", Source.PURCHASE, 10000, 1, client.now, client.now)
    told = report(client.now, calls, [("phone_three_factor_detailed", package, 9999)] * 20)
    expected = []
    for number in range(50):
        put_page = page_put("ledger", ACCOUNT, f"20250301{number:06d}-x", [told] * 20)
        client.dynamodb.put_item(TableName="ledger", Item=put_page["Put"]["Item"])
        expected += [kept.notice_id for kept in notices_from_item(put_page["Put"]["Item"])]
    replies: list[Reply] = []
    cursor: dict[str, str] = {}
    while not replies or cursor:
        reply = client.get(NOTICES, limit="1000", kind="daily_report", **cursor)
        replies.append(reply)
        next_cursor = reply.body["next_cursor"]
        cursor = {"cursor": next_cursor} if next_cursor else {}
    assert [one["notice_id"] for reply in replies for one in reply.body["items"]] == expected
    assert len(replies) > 1
    for reply in replies:
        assert len(reply.text.encode()) <= 4_001_000
        assert len(json.dumps({"body": reply.text}, ensure_ascii=False).encode()) < 6_000_000
    assert len(replies[0].text.encode()) > 3_900_000


def test_a_notice_that_is_too_long_has_a_page_of_its_own(client: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list always goes on."""
    monkeypatch.setattr(inbox, "MAX_PAGE_BYTES", 1)
    expected = [one.notice_id for one in happen(client, *[Kind.ARREARS] * 3)]
    assert [[one["notice_id"] for one in page] for page in walk(client, NOTICES, 100)] == [[one] for one in expected]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_cursors_hold_while_more_happens(client: Product, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Whatever comes between two pages of notices or deliveries, each is found once, the new ones at the end."""
    monkeypatch.setattr(cursors, "AT_ONCE", 2)
    webhook_id = post(client).body["webhook_id"]
    told: list[str] = []

    def more(number: int) -> None:
        kept = happen(client, Kind.ARREARS if number % 3 == 0 else Kind.STOPPED)[0]
        delivered(client, kept)
        if kept.notice.kind is Kind.ARREARS:
            delivered(client, kept, Channel.WEBHOOK, "hooks.example.com", recipient_id=webhook_id)
            told.append(kept.notice_id)
        client.now += timedelta(minutes=1)

    for number in range(12):
        more(number)
    for path, query in ((NOTICES, {"kind": "arrears"}), (f"{WEBHOOKS}/{webhook_id}/deliveries", {})):
        found: list[str] = []
        for number, page in enumerate(walk(client, path, limit, **query)):
            found += [one["notice_id"] for one in page]
            if number < 3:
                more(number)
        assert found == told


# --- Subscriptions ----------------------------------------------------------------------------------------------------


def test_the_contact_is_told_until_there_is_a_subscription(client: Product) -> None:
    """Without a subscription the account's contact holds, also when it changes."""
    found = client.get(SUBSCRIPTION).body
    assert found == {
        "emails": ["billing@example.com"],
        "phones": ["+8613800138000"],
        "locale": "en",
        "daily_report": False,
        "blocked": [],
    }
    assert client.request("PATCH", A, {"contact": {"email": "new@example.com"}}).status == 200
    changed = client.get(SUBSCRIPTION).body
    assert (changed["emails"], changed["phones"], changed["locale"]) == (["new@example.com"], ["+8613800138000"], "en")


def test_a_subscription_is_replaced_as_a_whole(client: Product) -> None:
    """What a PUT leaves out is as the contact says, whatever the subscription before it said."""
    reply = put(
        client, emails=["a@example.com", "b@example.com"], phones=["+1 555 0100"], locale="zh-CN", daily_report=True
    )
    assert reply.status == 200
    assert reply.body == {
        "emails": ["a@example.com", "b@example.com"],
        "phones": ["+15550100"],
        "locale": "zh-CN",
        "daily_report": True,
        "blocked": [],
    }
    assert client.get(SUBSCRIPTION).body == reply.body
    assert put(client, emails=[], phones=None).body == {
        "emails": [],
        "phones": ["+8613800138000"],
        "locale": "en",
        "daily_report": False,
        "blocked": [],
    }


def subscription_item(product: Product) -> dict[str, Any]:
    """The subscription as stored."""
    key = {"pk": {"S": keys.ledger(ACCOUNT)}, "sk": {"S": keys.SUBSCRIPTION}}
    found: dict[str, Any] = product.dynamodb.get_item(TableName="ledger", Key=key)["Item"]
    return found


def test_the_daily_report_is_due_while_it_is_wanted(client: Product) -> None:
    """The subscription is in the due-index for the next 10:00 exactly as long as it says so."""
    put(client, daily_report=True)
    assert subscription_item(client)["due_sk"]["S"] == f"2025-03-02T10:00:00+08:00#{ACCOUNT}#{keys.SUBSCRIPTION}"
    put(client)
    assert "due_sk" not in subscription_item(client)


@pytest.mark.parametrize(
    "body,field",
    [
        ({"emails": ["no address"]}, "emails.0"),
        ({"emails": ["a@example.com", "b@@example.com"]}, "emails.1"),
        ({"emails": [f"{'a' * 250}@example.com"]}, "emails.0"),
        ({"emails": ["a@example.com", "a@example.com"]}, "emails"),
        ({"emails": [f"{number}@example.com" for number in range(11)]}, "emails"),
        ({"emails": "a@example.com"}, "emails"),
        ({"emails": [1]}, "emails.0"),
        ({"phones": ["call me"]}, "phones.0"),
        ({"phones": ["13800138000", "+86 138 0013 8000"]}, "phones"),
        ({"phones": [f"1380013800{number}" for number in range(10)] + ["13900139000"]}, "phones"),
        ({"locale": "fr"}, "locale"),
        ({"daily_report": "yes"}, "daily_report"),
        ({"daily_report": None}, "daily_report"),
        ({"sms": True}, "sms"),
    ],
)
def test_a_bad_subscription_is_refused(client: Product, body: dict[str, Any], field: str) -> None:
    """422 with the field, and the subscription stays."""
    before = client.get(SUBSCRIPTION).body
    reply = put(client, **body)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert field in [error["field"].removeprefix("body.") for error in reply.body["errors"]]
    assert client.get(SUBSCRIPTION).body == before


def block(product: Product, address: str, channel: Channel, status: Status) -> None:
    """An address that does not take messages."""
    blocked = BlockedAddress(address, channel, status, product.now, "x")
    subscriptions.block_address(product.dynamodb, "ledger", ACCOUNT, blocked)


def test_blocked_addresses_are_shown_and_freed_by_naming_them(client: Product) -> None:
    """A PUT that names an address, however it is written, tries it again; the others stay blocked."""
    block(client, "a@example.com", Channel.EMAIL, Status.BOUNCED)
    block(client, "b@example.com", Channel.EMAIL, Status.COMPLAINED)
    block(client, "+8613900139000", Channel.SMS, Status.REFUSED)
    block(client, "billing@example.com", Channel.EMAIL, Status.BOUNCED)
    shown = client.get(SUBSCRIPTION).body["blocked"]
    assert {"address": "a@example.com", "channel": "email", "status": "bounced", "at": "2025-03-01T10:00:00+08:00"} in (
        shown
    )
    assert len(shown) == 4
    reply = put(client, emails=["a@example.com"], phones=["139-0013 9000"])
    assert {one["address"] for one in reply.body["blocked"]} == {"b@example.com", "billing@example.com"}
    assert len(put(client, emails=[]).body["blocked"]) == 2, "the contact's address is not named"


def test_what_a_subscription_leaves_out_names_the_contact(client: Product) -> None:
    """A PUT without addresses, or without numbers, tries those of the account's contact again, and no others."""
    for address, channel in (
        ("billing@example.com", Channel.EMAIL),
        ("+8613800138000", Channel.SMS),
        ("a@example.com", Channel.EMAIL),
    ):
        block(client, address, channel, Status.BOUNCED)
    assert {one["address"] for one in put(client, emails=[]).body["blocked"]} == {
        "billing@example.com",
        "a@example.com",
    }
    assert {one["address"] for one in put(client, phones=[]).body["blocked"]} == {"a@example.com"}
    block(client, "+8613800138000", Channel.SMS, Status.BOUNCED)
    assert {one["address"] for one in put(client).body["blocked"]} == {"a@example.com"}


def test_a_subscription_whose_answer_is_lost_is_there(client: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacing it a second time does no harm."""
    lose_answer(monkeypatch)
    assert put(client, emails=["a@example.com"]).body["emails"] == ["a@example.com"]


# --- Webhooks ---------------------------------------------------------------------------------------------------------


def test_a_webhook_shows_its_secret_once(client: Product) -> None:
    """The answer of the registration has the secret; no other has."""
    reply = post(client, kinds=["stopped", "arrears"])
    assert reply.status == 201
    made = reply.body
    assert made.pop("secret").startswith("whsec_")
    assert made == {
        "webhook_id": made["webhook_id"],
        "url": URL,
        "kinds": ["arrears", "stopped"],
        "created_at": "2025-03-01T10:00:00+08:00",
        "enabled": True,
        "disabled_reason": None,
        "disabled_at": None,
        "last_success_at": None,
    }
    assert client.get(f"{WEBHOOKS}/{made['webhook_id']}").body == made
    assert client.get(WEBHOOKS).body == {"items": [made], "next_cursor": None}
    assert post(client).body["kinds"] is None


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com:22/",
        "https://localhost/",
        "https://service.internal/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://hooks.example.com/ x",
        "https://hooks.example.com/\r\nX-A: b",
        "https://hooks.example.com\r\n/",
        f"https://hooks.example.com/{'x' * 2048}",
        "",
    ],
)
def test_an_url_that_must_not_be_asked_is_refused(client: Product, url: str) -> None:
    """422, without the URL in the answer."""
    reply = post(client, url)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [error["field"].removeprefix("body.") for error in reply.body["errors"]] == ["url"]
    assert "password" not in reply.text
    assert rows(client, WEBHOOKS) == []


@pytest.mark.parametrize(
    "body",
    [
        {"kinds": []},
        {"kinds": ["arrears", "arrears"]},
        {"kinds": ["unheard_of"]},
        {"kinds": "arrears"},
        {"secret": "whsec_x"},
        {"url": None},
        {"url": 1},
    ],
)
def test_a_bad_webhook_is_refused(client: Product, body: dict[str, Any]) -> None:
    """422 for kinds that there are not and fields that nobody knows."""
    reply = client.request("POST", WEBHOOKS, {"url": URL, **body}, CUSTOMER, ACCOUNT)
    assert (reply.status, reply.code) == (422, "invalid_request")


def test_an_account_has_ten_webhooks_at_most(client: Product) -> None:
    """The eleventh is refused until one is deleted."""
    made = [post(client).body["webhook_id"] for _ in range(10)]
    reply = post(client)
    assert (reply.status, reply.code) == (409, "too_many_webhooks")
    assert client.request("DELETE", f"{WEBHOOKS}/{made[3]}", None, CUSTOMER, ACCOUNT).status == 200
    assert post(client).status == 201
    assert len(rows(client, WEBHOOKS)) == 10


@pytest.mark.parametrize("known,others,status", [(8, 1, 201), (9, 1, 409), (8, 2, 409), (0, 1, 201)])
def test_the_limit_holds_against_others_at_the_same_time(
    client: Product, monkeypatch: pytest.MonkeyPatch, known: int, others: int, status: int
) -> None:
    """What is added between the count and the transaction is counted too."""
    for _ in range(known):
        post(client)
    meanwhile(monkeypatch, lambda: [post(client) for _ in range(others)])
    assert post(client).status == status
    assert len(rows(client, WEBHOOKS)) == known + others + (status == 201)


def test_a_registration_whose_answer_is_lost_happens_once(client: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The webhook that is there is the one that is answered, with its secret."""
    for _ in range(9):
        post(client)
    lose_answer(monkeypatch)
    reply = post(client)
    assert reply.status == 201
    assert len(rows(client, WEBHOOKS)) == 10
    stored = webhooks.read_webhook(client.dynamodb, "ledger", ACCOUNT, reply.body["webhook_id"])
    assert stored is not None
    assert stored.secret == reply.body["secret"]


def test_webhooks_are_paged(client: Product) -> None:
    """Oldest first, like every list, those of one second too."""
    made = []
    for number in range(8):
        made.append(post(client).body["webhook_id"])
        client.now += timedelta(seconds=number // 6)
    found = pages(client, WEBHOOKS, 2)
    assert [one["webhook_id"] for page in found for one in page] == made


@pytest.mark.parametrize("webhook_id", ["x", "wh_20250301100000_0123456789ab", "x" * 2000])
@pytest.mark.parametrize(
    "method,path,scopes", [("GET", "", CUSTOMER), ("DELETE", "", CUSTOMER), ("GET", "/deliveries", CUSTOMER)]
)
def test_a_webhook_that_is_not_there_is_not_found(
    client: Product, method: str, path: str, scopes: Sequence[str], webhook_id: str
) -> None:
    """404 `webhook_not_found`, whatever the id looks like."""
    reply = client.request(method, f"{WEBHOOKS}/{webhook_id}{path}", None, scopes, ACCOUNT)
    assert (reply.status, reply.code) == (404, "webhook_not_found")


def test_anothers_webhook_is_not_found(client: Product) -> None:
    """A webhook belongs to one account."""
    assert client.request("POST", "/v1/accounts", {"account_id": "acct-2", "name": "Other"}).status == 201
    webhook_id = post(client).body["webhook_id"]
    reply = client.request("GET", f"/v1/accounts/acct-2/webhooks/{webhook_id}", None, CUSTOMER, "acct-2")
    assert (reply.status, reply.code) == (404, "webhook_not_found")


def test_a_deleted_webhook_is_gone(client: Product) -> None:
    """The answer shows it a last time; a second deletion finds nothing."""
    webhook_id = post(client).body["webhook_id"]
    shown = client.get(f"{WEBHOOKS}/{webhook_id}").body
    reply = client.request("DELETE", f"{WEBHOOKS}/{webhook_id}", None, CUSTOMER, ACCOUNT)
    assert (reply.status, reply.body) == (200, shown)
    assert client.request("DELETE", f"{WEBHOOKS}/{webhook_id}", None, CUSTOMER, ACCOUNT).status == 404
    assert rows(client, WEBHOOKS) == []


def test_a_webhook_that_was_switched_off_says_so(client: Product) -> None:
    """With the reason and the time; it does not come back by itself."""
    webhook_id = post(client).body["webhook_id"]
    webhook = webhooks.read_webhook(client.dynamodb, "ledger", ACCOUNT, webhook_id)
    assert webhook is not None
    items = webhooks.switch_off_items("ledger", ACCOUNT, webhook, webhooks.Reason.GONE, client.now, client.now)
    client.dynamodb.transact_write_items(TransactItems=items)
    shown = client.get(f"{WEBHOOKS}/{webhook_id}").body
    assert (shown["enabled"], shown["disabled_reason"], shown["disabled_at"]) == (
        False,
        "gone",
        "2025-03-01T10:00:00+08:00",
    )
    told = client.get(NOTICES, kind="webhook_disabled").body["items"]
    assert [one["data"]["webhook_id"] for one in told] == [webhook_id]


def test_deliveries_of_a_webhook_are_its_own(client: Product) -> None:
    """Each with its status, attempts and the next attempt, and of no other webhook or channel."""
    one, other = (post(client).body["webhook_id"] for _ in range(2))
    first, second, third = happen(client, Kind.ARREARS, Kind.STOPPED, Kind.RELEASED)
    due = client.now + timedelta(minutes=1)
    delivered(client, first, Channel.WEBHOOK, "hooks.example.com", recipient_id=one)
    delivered(client, first)
    delivered(client, second, Channel.WEBHOOK, "hooks.example.com", Status.PENDING, one, due)
    delivered(client, third, Channel.WEBHOOK, "hooks.example.com", recipient_id=other)
    at = "2025-03-01T10:00:00+08:00"
    assert client.get(f"{WEBHOOKS}/{one}/deliveries").body["items"] == [
        {
            "notice_id": first.notice_id,
            "status": "sent",
            "attempts": 1,
            "at": at,
            "next_attempt_at": None,
            "detail": "",
        },
        {
            "notice_id": second.notice_id,
            "status": "pending",
            "attempts": 1,
            "at": at,
            "next_attempt_at": "2025-03-01T10:01:00+08:00",
            "detail": "x",
        },
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_deliveries_of_a_webhook_are_paged(client: Product, limit: int) -> None:
    """Oldest notice first, each once, also of a notice that was written before the webhook was registered."""
    waiting = happen(client, Kind.REFUND_COMPLETED)
    client.now += timedelta(days=2)
    webhook_id = post(client).body["webhook_id"]
    for _ in range(4):
        waiting += happen(client, Kind.ARREARS)
        client.now += timedelta(days=1)
    for kept in waiting:
        delivered(client, kept, Channel.WEBHOOK, "hooks.example.com", recipient_id=webhook_id)
    found = pages(client, f"{WEBHOOKS}/{webhook_id}/deliveries", limit)
    assert [one["notice_id"] for page in found for one in page] == [kept.notice_id for kept in waiting]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_request_for_few_of_many_deliveries_reads_a_part_of_them(
    client: Product, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """It answers what it has found, even nothing, and where to go on, also amid the deliveries of one notice."""
    monkeypatch.setattr(cursors, "AT_ONCE", 2)
    one, other = sorted(post(client).body["webhook_id"] for _ in range(2))
    expected = []
    for number in range(12):
        kept = happen(client, Kind.ARREARS)[0]
        for recipient in ("a@example.com", "b@example.com", "c@example.com"):
            delivered(client, kept, recipient=recipient)
        delivered(client, kept, Channel.WEBHOOK, "hooks.example.com", recipient_id=other)
        if number in {0, 5, 11}:
            delivered(client, kept, Channel.WEBHOOK, "hooks.example.com", recipient_id=one)
            expected.append(kept.notice_id)
        client.now += timedelta(minutes=1)
    reads = Reads(monkeypatch)
    found, sizes = [], []
    for page in walk(client, f"{WEBHOOKS}/{one}/deliveries", limit):
        found += [each["notice_id"] for each in page]
        sizes.append(len(page))
        assert reads.taken("D#") <= 4
    assert found == expected
    assert 0 in sizes


# --- Who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method,path,body,needed",
    [
        ("GET", NOTICES, None, "billing:read"),
        ("GET", SUBSCRIPTION, None, "billing:read"),
        ("PUT", SUBSCRIPTION, {}, "billing:write"),
        ("POST", WEBHOOKS, {"url": URL}, "billing:write"),
        ("GET", WEBHOOKS, None, "billing:read"),
        ("GET", f"{WEBHOOKS}/x", None, "billing:read"),
        ("DELETE", f"{WEBHOOKS}/x", None, "billing:write"),
        ("GET", f"{WEBHOOKS}/x/deliveries", None, "billing:read"),
    ],
)
def test_every_route_wants_its_scope(client: Product, method: str, path: str, body: Any, needed: str) -> None:
    """401 without a token, 403 with another scope or another account, and the operator hears what there is not."""
    assert client.request(method, path, body, None).status == 401
    for scope in {"billing:read", "billing:write", "usage:write"} - {needed}:
        reply = client.request(method, path, body, (scope,), ACCOUNT)
        assert (reply.status, reply.code) == (403, "forbidden")
    assert client.request(method, path, body, (needed,), "acct-2").code == "forbidden"
    assert client.request(method, path, body, (needed,), ACCOUNT).status in {200, 201, 404}
    elsewhere = client.request(method, path.replace(ACCOUNT, "nobody"), body)
    assert (elsewhere.status, elsewhere.code) == (404, "account_not_found")
