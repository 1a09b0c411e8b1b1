"""Limits that honest and hostile customers may come to: item sizes, old packages, reads of a check, starvation."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from unittest import mock

import pytest

from aws_platform import clients, failures, keys
from aws_platform.accounts import account_from_item
from aws_platform.bills import bill_from_item, bill_to_item
from aws_platform.ledger import OutdatedError
from aws_platform.orders import check_seen
from aws_platform.usage_counts import count_day
from rating.allocation import Source
from rating.bill import Bill, CountedSegment, Deduction, TransactionType
from rating.catalog import load
from tests.adapters.prepaid import SKU, TAG, buy, entitlement, give, give_back, order, packages, postpaid, use
from tests.adapters.steps import A, at
from tests.support.product import CUSTOMER, Product, product

LARGEST_ITEM = 400 * 1024
COUNT = "aws_platform.pending.count_day"


@pytest.fixture
def shop() -> Any:
    """A daily account with money, on 1 March 2023."""
    with product("2023-03-01T10:00:00+08:00") as made:
        made.open_account("acct-1", cash="1000000", opened_at="2023-02-01T00:00:00+08:00")
        yield made


def test_the_largest_month_fits_into_an_item() -> None:
    """32 tags, 31 days, 20 switches a day and three packages a tag in each segment: far below 400 KB."""
    tags = [tag.code for tag in load().tags]
    start = at("2025-03-01T00:00:00+08:00")
    segments = []
    for number in range(31 * 21):
        begins = start + timedelta(minutes=60 * number)
        given = [
            Deduction(
                f"pkg-20250301{number:06d}-{number:06d}-ba36a4ed-{one:03d}-{piece:02d}", tag, Source.PURCHASE, 1 + piece
            )
            for one, tag in enumerate(tags)
            for piece in range(3)
        ]
        calls = dict.fromkeys(tags, 10000 + number)
        segments.append(CountedSegment(begins, begins + timedelta(hours=1), calls, tuple(given), number % 2 == 0))
    first, last = date(2025, 3, 1), date(2025, 3, 31)
    kind = TransactionType.POSTPAY_MONTHLY
    bill = Bill("20250301-9", 9, kind, at("2025-04-01T08:00:00+08:00"), "2025-04", first, last, (), tuple(segments))
    item = bill_to_item("acct-1", bill)
    assert len(item["bill"]["B"]) < LARGEST_ITEM * 0.9
    assert bill_from_item(item) == bill


def test_packages_that_ended_make_room(shop: Product) -> None:
    """A full wallet of packages that ended long ago takes new ones; the old ones still tell what they had left."""
    with mock.patch("orders.purchase.MAX_WALLET_PACKAGES", 40):
        buy(shop, quantity=20)
        shop.now += timedelta(seconds=1)
        buy(shop, quantity=20)
        shop.now += timedelta(seconds=1)
        assert order(shop, [{"sku": SKU, "quantity": 1}], key="full").code == "too_many_packages"
        use(shop, 30, "2023-03-01T09:00:00+08:00")
        shop.move("2023-03-02T09:00:00+08:00")
        shop.sweep_until(at("2024-03-02T09:00:00+08:00"))
        shop.now = at("2024-05-20T09:00:00+08:00")
        buy(shop, quantity=4)
    wallet = shop.dynamodb.get_item(
        TableName="ledger", Key={"pk": {"S": keys.ledger("acct-1")}, "sk": {"S": keys.wallet(TAG)}}
    )["Item"]
    assert len(json.loads(wallet["body"]["S"])["packages"]) == 40 - 10 + 4
    shown = packages(shop)
    assert len(shown) == 44
    expired = [one for one in shown if one["status"] == "expired"]
    assert len(expired) == 40
    assert sorted({(one["used"], one["remaining"]) for one in expired}) == [(0, 1000), (30, 970)]


def test_settlement_takes_ended_packages_along(shop: Product) -> None:
    """A run that uses a wallet leaves packages out of it that ended long ago."""
    old = buy(shop, quantity=3)
    shop.now = at("2024-06-01T09:00:00+08:00")
    buy(shop)
    use(shop, 5, "2024-06-01T09:00:00+08:00")
    shop.move("2024-06-02T09:00:00+08:00")
    wallet = shop.dynamodb.get_item(
        TableName="ledger", Key={"pk": {"S": keys.ledger("acct-1")}, "sk": {"S": keys.wallet(TAG)}}
    )["Item"]
    (stocked,) = json.loads(wallet["body"]["S"])["packages"]
    assert stocked[0] not in old
    assert [one["remaining"] for one in packages(shop)] == [1000, 1000, 1000, 995]


def test_a_check_does_not_read_days_that_no_package_serves(shop: Product) -> None:
    """A cut day that was billed before the first purchase costs a later check nothing: two reads."""
    shop.now = at("2023-03-02T12:00:00+08:00")
    postpaid(shop, on=False)
    shop.now = at("2023-03-02T12:00:05+08:00")
    postpaid(shop, on=True)
    use(shop, 20, "2023-03-02T11:00:00+08:00")
    shop.move("2023-03-03T08:00:00+08:00")
    shop.now = at("2023-04-20T10:00:00+08:00")
    buy(shop)
    made: list[str] = []
    clients.dynamodb().meta.events.register(
        "provide-client-params.dynamodb.*", lambda model, **_: made.append(model.name)
    )
    assert entitlement(shop)["paid_remaining"] == 1000
    assert made == ["BatchGetItem", "Query"]


def test_orders_do_not_starve_a_run(shop: Product) -> None:
    """A customer who buys or gives back during every count does not keep the day from being settled."""
    use(shop, 600, "2023-03-01T09:00:00+08:00")
    shop.now = at("2023-03-02T08:00:00+08:00")
    owned, changes = list[str](), list[str]()

    def counted(*arguments: Any) -> Any:
        found = count_day(*arguments)
        changes.append("change")
        if owned:
            with mock.patch(COUNT, count_day):
                assert give_back(shop, owned.pop(), key=f"back-{len(changes)}").status == 202
        else:
            owned.extend(buy(shop, "phone_two_factor:1000", key=f"order-{len(changes)}"))
        return found

    with mock.patch(COUNT, counted), mock.patch.object(failures, "sleep"):
        shop.run()
    assert len(changes) == 1
    assert shop.get(f"{A}/journal").body["items"][-1]["kind"] == "settlement"


def test_what_is_bought_during_a_count_is_deducted(shop: Product) -> None:
    """A package that serves the day, and is granted while the run counts, is deducted: nothing is charged twice."""
    shop.now = at("2023-03-01T10:00:00+08:00")
    buy(shop)
    use(shop, 600, "2023-03-01T09:00:00+08:00")
    shop.now = at("2023-03-02T08:00:00+08:00")
    taken: list[int] = []

    def counted(*arguments: Any) -> Any:
        found = count_day(*arguments)
        if not taken:
            taken.append(1)
            give(shop, 100)
        return found

    with mock.patch(COUNT, counted), mock.patch.object(failures, "sleep"):
        shop.run()
    shown = {one["source"]: one["remaining"] for one in packages(shop)}
    assert shown == {"purchase": 400, "gift": 100}


def test_a_filtered_list_goes_on_where_it_was(shop: Product) -> None:
    """The package that a cursor names may lose the status that was asked for."""
    first, second = buy(shop, quantity=2)
    page = shop.request("GET", f"{A}/packages", query={"status": "active", "limit": "1"}).body
    assert [one["package_id"] for one in page["items"]] == [first]
    assert give_back(shop, first).status == 202
    again = {"status": "active", "limit": "1", "cursor": page["next_cursor"]}
    reply = shop.request("GET", f"{A}/packages", query=again)
    assert reply.status == 200, reply.text
    assert [one["package_id"] for one in reply.body["items"]] == [second]


def test_a_switch_that_changes_nothing_is_always_taken(shop: Product) -> None:
    """After the day's twentieth switch the contact can still be changed together with the state as it is."""
    for number in range(20):
        shop.now += timedelta(minutes=1)
        postpaid(shop, on=number % 2 == 1)
    body = {"postpaid_enabled": True, "contact": {"email": "a@example.com"}}
    assert shop.request("PATCH", A, body, CUSTOMER, "acct-1").status == 200
    assert shop.request("PATCH", A, {"postpaid_enabled": False}, CUSTOMER, "acct-1").code == "too_many_changes"


def test_a_purchase_is_seen_by_a_machine_that_is_behind(shop: Product) -> None:
    """Three seconds before the seller's clock the package is in the list, in the check and can be given back."""
    (package,) = buy(shop)
    shop.now -= timedelta(seconds=3)
    assert [one["package_id"] for one in packages(shop)] == [package]
    assert entitlement(shop)["paid_remaining"] == 1000
    assert shop.get(f"{A}/packages/{package}/refund-quote").body["refundable"]


def test_an_order_that_is_not_visible_yet(shop: Product) -> None:
    """Whoever reads the last order that an account knows of must see it as it was written then, or read again."""
    (package,) = buy(shop)
    give_back(shop, package)
    key = {"pk": {"S": keys.ledger("acct-1")}, "sk": {"S": keys.ACCOUNT}}
    account = account_from_item(shop.dynamodb.get_item(TableName="ledger", Key=key)["Item"])
    assert account.last_order is not None
    sort_key, version = account.last_order
    check_seen(account, {sort_key: version, "O#another": 1})
    for versions in ({sort_key: version - 1}, {sort_key: 0}, {"O#newer": version + 1}):
        with pytest.raises(OutdatedError):
            check_seen(account, versions)


def test_a_timer_of_unknown_shape_holds_up_no_other(shop: Product) -> None:
    """One entry of a shard that cannot be read is counted as failed; the refunds after it are paid."""
    with mock.patch.dict(os.environ, DUE_SHARDS=str(keys.SHARDS)):
        (package,) = buy(shop)
        give_back(shop, package)
        for shard in keys.all_timer_shards():
            odd = {"pk": "odd", "sk": shard, "due_pk": shard, "due_sk": "2023-03-01T00:00:00+08:00"}
            shop.dynamodb.put_item(TableName="ledger", Item={name: {"S": text} for name, text in odd.items()})
        shop.now += timedelta(minutes=3)
        answer = shop.invoke("TimersFunction", {"task": "sweep"})
    assert answer == {"done": 1, "failed": len(keys.all_timer_shards()), "left": 0}
    assert shop.get(f"{A}/refunds").body["items"][0]["status"] == "completed"


@pytest.mark.parametrize("path, body", [("orders", {"items": [{"sku": "eid_authority:1000", "quantity": 0}]})])
def test_an_enterprise_is_asked_for_before_the_body(shop: Product, path: str, body: Mapping[str, Any]) -> None:
    """403 comes before 400 and 422, for E证通 packages too."""
    reply = shop.request("POST", f"{A}/{path}", body, CUSTOMER, "acct-1")
    assert (reply.status, reply.code) == (403, "enterprise_verification_required")
