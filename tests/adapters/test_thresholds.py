"""Packages that run low, are used up, come to their end or arrive: each edge is told once (D9 to D11, D27, D28)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from aws_platform import clients, thresholds
from aws_platform.settings import Settings
from aws_platform.standing import Reader
from rating.catalog import load
from rating.notices import Kind
from tests.adapters.notices import (
    TIMED,
    USED,
    counted_calls,
    kinds,
    kinds_by_page,
    of_packages,
    pass_time,
    times,
    told,
    told_pages,
)
from tests.adapters.prepaid import MONTHLY_OPENED, OPENED, TAG, buy, give, give_back, left, order, use
from tests.adapters.steps import NOW, at, meanwhile, post_usage
from tests.support.product import Product, event, stream_record

MORNING = "2025-03-01T09:00:00+08:00"
LOW, EXHAUSTED, EXPIRED = "package_low", "package_exhausted", "package_expired"
FREE_TAG: dict[str, Any] = {"interface": "enhanced.wechat_mini_program", "library": "authority"}


def tell(product: Product, *tags: str) -> int:
    """A look at the packages of these tags, as a late or repeated sweep makes it."""
    reader = Reader(clients.dynamodb(), Settings.from_environment(), load())
    return thresholds.tell(reader, "acct-1", tags or [TAG], product.now)


@pytest.fixture
def rich(metered: Product) -> Product:
    """A daily account with enough money for anything."""
    metered.top_up("acct-1", "100000.00")
    return metered


# --- low and exhausted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "calls, expected",
    [(79, []), (80, []), (81, [LOW]), (99, [LOW]), (100, [LOW, EXHAUSTED]), (150, [LOW, EXHAUSTED])],
)
def test_low_and_exhausted_at_their_edges(metered: Product, calls: int, expected: list[str]) -> None:
    """Less than a fifth is low, a fifth is not; at 0 it is exhausted; one batch tells both, in that order (D27)."""
    given = give(metered, 100)
    use(metered, calls, MORNING)
    assert of_packages(metered) == [(kind, given, max(0, 100 - calls)) for kind in expected]
    assert kinds_by_page(metered, *USED) == ([expected] if expected else [])
    metered.move("2025-03-04T09:00:00+08:00")
    assert kinds(metered, *USED) == expected


def test_what_is_told_of_a_package(metered: Product) -> None:
    """The notice names the package, its tag, what it had and has, and its end (contract, Notices)."""
    given = give(metered, 100)
    use(metered, 90, MORNING)
    (notice,) = told(metered)
    assert notice.notice.data == {
        "package_id": given,
        "tag": TAG,
        "total": 100,
        "remaining": 10,
        "expires_at": "2026-03-01T10:00:00+08:00",
    }
    assert notice.notice.occurred_at == at(NOW)


def test_each_edge_is_told_once(metered: Product) -> None:
    """Call by call across both edges, with every batch of the stream repeated, and over the settlement (D27)."""
    given = give(metered, 10)
    for number in range(12):
        use(metered, 1, MORNING, f"call-{number}")
        metered.stream()
        tell(metered)
    assert of_packages(metered) == [(LOW, given, 1), (EXHAUSTED, given, 0)]
    metered.move("2025-03-03T09:00:00+08:00")
    assert tell(metered) == 0
    assert kinds(metered, *USED) == [LOW, EXHAUSTED]


def test_a_look_that_finds_nothing_writes_nothing(metered: Product) -> None:
    """Two reads: the account with the wallet, and the live totals; one where there is no package of the tag."""
    give(metered, 100)
    use(metered, 1, MORNING)
    metered.sweep()
    with counted_calls() as calls:
        assert tell(metered) == 0
    assert len(calls) == 2
    with counted_calls() as calls:
        assert tell(metered, "bank_card_check") == 0
    assert len(calls) == 1
    assert not {name for name, _ in calls} & {"TransactWriteItems", "UpdateItem", "PutItem"}


def test_calls_that_are_not_charged_use_nothing(metered: Product) -> None:
    """Whatever their number, they take no package below an edge (D6, D27)."""
    give(metered, 10)
    use(metered, 30, MORNING, code="-2")
    assert kinds(metered) == []
    use(metered, 9, MORNING)
    assert kinds(metered) == [LOW]


def test_another_tags_calls_use_nothing(metered: Product) -> None:
    """A package serves its own tag only (D9)."""
    give(metered, 10)
    use(metered, 30, MORNING, interface="api.phone_2e")
    assert kinds(metered) == []


def test_a_bought_package(rich: Product) -> None:
    """It is told as a gift is (D27)."""
    (package_id,) = buy(rich)
    use(rich, 800, MORNING)
    assert of_packages(rich) == []
    use(rich, 1, MORNING, "one more")
    use(rich, 199, MORNING, "the rest")
    assert of_packages(rich) == [(LOW, package_id, 199), (EXHAUSTED, package_id, 0)]


def test_free_packages_are_told_from_their_delivery_on(product: Product) -> None:
    """Calls before the delivery count for the day's package: the sweep of the delivery tells (D10, D13, D27)."""
    product.open_account("acct-1", cash="100.00")
    product.now = at("2025-03-01T10:20:00+08:00")
    use(product, 81, "2025-03-01T10:10:00+08:00", **FREE_TAG)
    product.move("2025-03-01T10:29:59+08:00")
    assert kinds(product) == []
    product.move("2025-03-01T10:30:00+08:00")
    assert times(product) == [(LOW, "2025-03-01T10:30:00+08:00")]
    use(product, 19, "2025-03-01T10:12:00+08:00", **FREE_TAG)
    assert kinds(product) == [LOW, EXHAUSTED]
    product.move("2025-03-03T10:00:00+08:00")
    assert kinds(product) == [LOW, EXHAUSTED]


@pytest.mark.parametrize("calls, expected", [(800, []), (801, [LOW]), (1000, [LOW, EXHAUSTED])])
def test_bought_after_the_days_calls(rich: Product, calls: int, expected: list[str]) -> None:
    """Bought at 14:30, the calls since midnight are its own: the next sweep tells what they have used (D10, D27)."""
    use(rich, calls, MORNING)
    rich.now = at("2025-03-01T14:30:00+08:00")
    (package_id,) = buy(rich)
    assert kinds(rich) == ["package_delivered"]
    rich.now = at("2025-03-01T14:31:00+08:00")
    rich.sweep()
    assert of_packages(rich) == [(kind, package_id, 1000 - calls) for kind in expected]
    rich.sweep()
    rich.move("2025-03-02T09:00:00+08:00")
    assert kinds(rich, *USED) == expected


def test_several_packages_in_the_order_of_use(rich: Product) -> None:
    """Gifts first, then the one that ends first: each is told when the calls come to it (D9, D27)."""
    (first,) = buy(rich)
    rich.now = at("2025-03-02T10:00:00+08:00")
    (second,) = buy(rich)
    gift = give(rich, 100)
    use(rich, 80, "2025-03-02T09:00:00+08:00", "a")
    assert of_packages(rich) == []
    use(rich, 820, "2025-03-02T09:00:00+08:00", "b")
    assert of_packages(rich) == [(LOW, gift, 0), (EXHAUSTED, gift, 0)]
    use(rich, 1001, "2025-03-02T09:30:00+08:00", "c")
    use(rich, 199, "2025-03-02T09:30:01+08:00", "d")
    assert of_packages(rich)[2:] == [(LOW, first, 0), (EXHAUSTED, first, 0), (LOW, second, 199), (EXHAUSTED, second, 0)]
    rich.move("2025-03-04T09:00:00+08:00")
    assert len(of_packages(rich)) == 6


def test_an_edge_is_never_taken_back_nor_told_again(rich: Product) -> None:
    """A gift that takes the calls over leaves the package with more than before; its edge stays told (D9, D27)."""
    (package_id,) = buy(rich)
    use(rich, 850, MORNING)
    rich.now = at("2025-03-01T11:00:00+08:00")
    gift = give(rich, 500)
    rich.sweep()
    assert left(rich) == {package_id: 650, gift: 0}
    assert of_packages(rich) == [(LOW, package_id, 150), (LOW, gift, 0), (EXHAUSTED, gift, 0)]
    use(rich, 500, "2025-03-01T10:30:00+08:00", "more")
    assert left(rich)[package_id] == 150
    rich.move("2025-03-03T09:00:00+08:00")
    assert len(of_packages(rich)) == 3
    use(rich, 150, "2025-03-03T08:30:00+08:00", "the rest")
    assert of_packages(rich)[3:] == [(EXHAUSTED, package_id, 0)]


def test_an_exhausted_package_that_gets_calls_back(rich: Product) -> None:
    """Told as used up, it is used again after a gift has taken over, and used up without another word (D9, D27)."""
    (package_id,) = buy(rich)
    use(rich, 1000, MORNING)
    give(rich, 300)
    rich.sweep()
    use(rich, 300, "2025-03-01T09:30:00+08:00", "more")
    rich.move("2025-03-02T09:00:00+08:00")
    assert [kind for kind, package, _ in of_packages(rich) if package == package_id] == [LOW, EXHAUSTED]


def test_late_usage_of_a_settled_day(metered: Product) -> None:
    """It counts at once, on top of what the bill took, and the run that charges it tells nothing more (D4, D27)."""
    given = give(metered, 100)
    use(metered, 70, MORNING)
    metered.move("2025-03-02T09:00:00+08:00")
    use(metered, 10, MORNING, "late")
    assert of_packages(metered) == []
    use(metered, 15, MORNING, "later")
    assert of_packages(metered) == [(LOW, given, 5)]
    metered.move("2025-03-03T09:00:00+08:00")
    use(metered, 5, MORNING, "last")
    metered.move("2025-03-04T09:00:00+08:00")
    assert of_packages(metered) == [(LOW, given, 5), (EXHAUSTED, given, 0)]


def test_a_monthly_account_is_told_long_before_its_run(product: Product) -> None:
    """Edges are those of the live view, over the days of the month, and its run tells nothing again (D27)."""
    product.open_account("acct-1", cash="1000.00", opened_at=MONTHLY_OPENED)
    given = give(product, 100)
    use(product, 50, MORNING)
    product.move("2025-03-03T10:00:00+08:00")
    use(product, 31, "2025-03-03T09:00:00+08:00")
    assert times(product) == [(LOW, "2025-03-03T10:00:00+08:00")]
    product.move("2025-04-02T10:00:00+08:00")
    assert kinds(product, *USED) == [LOW]
    use(product, 19, "2025-03-20T09:00:00+08:00", "late")
    assert of_packages(product)[1:] == [(EXHAUSTED, given, 0)]


# --- who looks, and when --------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls, expected", [(80, []), (81, [LOW]), (100, [LOW, EXHAUSTED])])
def test_the_settlement_tells_what_no_look_has_told(
    metered: Product, monkeypatch: pytest.MonkeyPatch, calls: int, expected: list[str]
) -> None:
    """With the stream's looks gone the bill tells, in its own transaction, once (D27)."""
    given = give(metered, 100)
    metered.sweep()
    with monkeypatch.context() as patch:
        patch.setattr(thresholds, "tell", lambda *_, **__: 0)
        use(metered, calls, MORNING)
        assert kinds(metered) == []
        metered.move("2025-03-02T08:00:00+08:00")
    assert of_packages(metered) == [(kind, given, 100 - calls) for kind in expected]
    assert {when for _, when in times(metered)} <= {"2025-03-02T08:00:00+08:00"}
    metered.stream()
    tell(metered)
    metered.move("2025-03-03T08:00:00+08:00")
    assert kinds(metered) == expected


def test_a_bill_tells_nothing_of_the_end(metered: Product) -> None:
    """That is for the timer, however late it is: a bill tells what calls have done (D27)."""
    give(metered, 100)
    metered.sweep()
    metered.now = at("2026-02-23T12:00:00+08:00")
    with mock.patch.object(thresholds, "tell", return_value=0):
        use(metered, 81, "2026-02-23T11:00:00+08:00")
        metered.now = at("2026-02-24T08:00:00+08:00")
        metered.run()
    assert kinds(metered) == [LOW]
    metered.sweep()
    assert times(metered)[1:] == [("package_expiring", "2026-02-22T10:00:00+08:00")]


def test_what_the_settlement_tells_comes_with_the_arrears_that_it_begins(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page for one transaction (D21, D27)."""
    product.open_account("acct-1", opened_at=OPENED)
    give(product, 10)
    product.sweep()
    monkeypatch.setattr(thresholds, "tell", lambda *_, **__: 0)
    use(product, 20, MORNING)
    product.move("2025-03-02T08:00:00+08:00")
    assert [[one.notice.kind for one in page] for page in told_pages(product)] == [[LOW, EXHAUSTED, "arrears"]]


def test_one_batch_of_the_stream_with_many_accounts_and_tags(rich: Product) -> None:
    """Each account is told of its own packages only (D27)."""
    rich.open_account("acct-2", cash="100.00", opened_at=OPENED)
    give(rich, 10)
    give(rich, 10, "phone_two_factor")
    batch = [event("acct-1", f"a-{one}", MORNING) for one in range(9)]
    batch += [event("acct-1", f"b-{one}", MORNING, interface="api.phone_2e") for one in range(10)]
    batch += [event("acct-2", f"c-{one}", MORNING) for one in range(10)]
    assert post_usage(rich, batch).status == 200
    rich.stream()
    assert sorted(kinds(rich)) == [EXHAUSTED, LOW, LOW]
    assert kinds(rich, account_id="acct-2") == []


def test_a_look_that_fails_is_made_up_by_the_sweep(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The totals do not wait for it; the next sweep looks instead, once (D27)."""
    give(metered, 10)
    post_usage(metered, [event("acct-1", f"e-{one}", MORNING) for one in range(10)])
    images = [item for item in metered.dynamodb.scan(TableName="usage")["Items"] if "r" in item]
    batch = {"Records": [stream_record(image) for image in images]}

    def broken(*_: object, **__: object) -> int:
        message = "broken"
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr(thresholds, "tell", broken)
        metered.invoke("RollupFunction", batch)
    assert metered.get("/v1/accounts/acct-1/usage").body["items"][0]["calls"] == 10
    assert kinds(metered) == []
    metered.sweep()
    assert kinds(metered) == [LOW, EXHAUSTED]
    assert metered.invoke("TimersFunction", {"task": "sweep"})["done"] == 0


@pytest.mark.parametrize("calls, expected", [(80, []), (81, [LOW]), (100, [LOW, EXHAUSTED])])
def test_a_large_day_with_a_switch_is_looked_at_once_an_hour(
    metered: Product, monkeypatch: pytest.MonkeyPatch, calls: int, expected: list[str]
) -> None:
    """Passing usage does not count the buckets of such a day each time; the sweep does, an hour after (D27)."""
    monkeypatch.setattr(thresholds, "MANY_CALLS", 5)
    give(metered, 100)
    metered.sweep()
    assert metered.request("PATCH", "/v1/accounts/acct-1", {"postpaid_enabled": False}).status == 200
    use(metered, calls, "2025-03-01T09:00:00+08:00")
    use(metered, 0, "2025-03-01T09:00:00+08:00")
    metered.move("2025-03-01T10:59:59+08:00")
    assert kinds(metered) == []
    metered.move("2025-03-01T11:00:00+08:00")
    assert kinds(metered) == expected
    assert metered.invoke("TimersFunction", {"task": "sweep"})["done"] == 0


@pytest.mark.parametrize("calls, reads", [(10, 0), (81, 1)])
def test_the_buckets_of_a_day_with_a_switch_are_counted_where_it_matters(
    metered: Product, calls: int, reads: int
) -> None:
    """Where even all the calls together cross nothing, a look reads no bucket (D27)."""
    give(metered, 100)
    metered.sweep()
    assert metered.request("PATCH", "/v1/accounts/acct-1", {"postpaid_enabled": False}).status == 200
    post_usage(metered, [event("acct-1", f"e-{one}", "2025-03-01T09:00:00+08:00") for one in range(calls)])
    with counted_calls() as made:
        metered.stream()
    queries = [request for operation, request in made if operation == "Query" and request["TableName"] == "usage"]
    assert len(queries) == reads


def test_two_looks_at_once(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes second sees what the first has told, and tells the rest (D27)."""
    give(metered, 10)
    with monkeypatch.context() as patch:
        patch.setattr(thresholds, "tell", lambda *_, **__: 0)
        use(metered, 9, MORNING)
    meanwhile(monkeypatch, lambda: tell(metered))
    assert tell(metered) == 0
    assert kinds(metered) == [LOW]


def test_a_gift_that_comes_while_a_look_writes(metered: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is made again with the gift: the calls stay the older package's, which is told once (D9, D27)."""
    first = give(metered, 100)
    metered.sweep()
    with monkeypatch.context() as patch:
        patch.setattr(thresholds, "tell", lambda *_, **__: 0)
        use(metered, 81, MORNING)
    metered.now = at("2025-03-01T11:00:00+08:00")

    def refill() -> None:
        post_usage(metered, [event("acct-1", "unseen", MORNING)])
        give(metered, 1000)

    meanwhile(monkeypatch, refill)
    assert tell(metered) == 1
    assert of_packages(metered) == [(LOW, first, 19)]


# --- the end --------------------------------------------------------------------------------------------------


def test_the_end_of_a_bought_package_to_the_second(rich: Product) -> None:
    """Told at 23:59:59 seven days and one day before, and in the second after its last one (D11, D27)."""
    (package_id,) = buy(rich)
    moments = [
        ("2026-02-22T23:59:58+08:00", 0),
        ("2026-02-22T23:59:59+08:00", 1),
        ("2026-02-28T23:59:58+08:00", 1),
        ("2026-02-28T23:59:59+08:00", 2),
        ("2026-03-01T23:59:59+08:00", 2),
        ("2026-03-02T00:00:00+08:00", 3),
        ("2026-06-01T00:00:00+08:00", 3),
    ]
    for moment, number in moments:
        rich.now = at(moment)
        rich.sweep()
        rich.sweep()
        assert len(told(rich, *TIMED)) == number, moment
    found = [one.notice for one in told(rich, *TIMED)]
    data = {
        "package_id": package_id,
        "tag": TAG,
        "total": 1000,
        "remaining": 1000,
        "expires_at": "2026-03-01T23:59:59+08:00",
    }
    assert [one.data for one in found] == [{**data, "days": 7}, {**data, "days": 1}, data]
    assert [one.kind for one in found] == [Kind.PACKAGE_EXPIRING, Kind.PACKAGE_EXPIRING, Kind.PACKAGE_EXPIRED]


def test_the_end_of_a_gift_to_the_second(metered: Product) -> None:
    """It ends a year after its delivery to the second, and is told at that time of day (D11, D27)."""
    metered.now = at("2025-03-01T11:00:37+08:00")
    give(metered, 10)
    pass_time(metered, "2026-06-01T00:00:00+08:00")
    assert times(metered) == [
        ("package_expiring", "2026-02-22T11:00:37+08:00"),
        ("package_expiring", "2026-02-28T11:00:37+08:00"),
        ("package_expired", "2026-03-01T11:00:38+08:00"),
    ]


@pytest.mark.parametrize(
    "moment, expected",
    [
        ("2026-02-25T12:00:00+08:00", [7]),
        ("2026-03-01T12:00:00+08:00", [7, 1]),
        ("2026-03-02T00:00:00+08:00", [None]),
        ("2026-03-12T12:00:00+08:00", [None]),
    ],
)
def test_a_late_sweep_tells_the_edges_at_their_own_times(
    rich: Product, moment: str, expected: list[int | None]
) -> None:
    """What has ended is not expiring any more: after the end only that is told, as of the end (D27)."""
    buy(rich)
    rich.sweep()
    rich.now = at(moment)
    rich.sweep()
    rich.sweep()
    assert [one.notice.data.get("days") for one in told(rich, *TIMED)] == expected
    own = {7: "2026-02-22T23:59:59+08:00", 1: "2026-02-28T23:59:59+08:00", None: "2026-03-02T00:00:00+08:00"}
    assert [when for _, when in times(rich, *TIMED)] == [own[one] for one in expected]
    pass_time(rich, "2026-04-01T00:00:00+08:00")
    assert kinds(rich, *TIMED).count(EXPIRED) == 1


def test_nothing_is_told_of_the_end_of_what_is_used_up(metered: Product) -> None:
    """Only packages with something left expire; what is used up between two edges is not told of again (D27)."""
    give(metered, 10)
    pass_time(metered, "2026-02-27T00:00:00+08:00")
    use(metered, 10, "2026-02-26T23:00:00+08:00")
    pass_time(metered, "2026-03-10T00:00:00+08:00")
    assert kinds(metered) == ["package_expiring", LOW, EXHAUSTED]


def test_the_last_call_on_the_last_day(rich: Product) -> None:
    """Used up in its last second and swept after its end, a package is exhausted and not expired (D11, D27)."""
    buy(rich)
    pass_time(rich, "2026-03-01T23:59:59+08:00")
    use(rich, 1000, "2026-03-01T23:59:59+08:00")
    pass_time(rich, "2026-03-02T08:00:00+08:00")
    assert kinds(rich, *TIMED, *USED)[-2:] == [LOW, EXHAUSTED]


def test_calls_after_the_end_use_nothing(rich: Product) -> None:
    """Usage of the second after the end leaves the package as it was (D11, D27)."""
    (package_id,) = buy(rich)
    pass_time(rich, "2026-03-02T00:00:30+08:00")
    use(rich, 1000, "2026-03-02T00:00:00+08:00")
    pass_time(rich, "2026-03-04T09:00:00+08:00")
    assert of_packages(rich)[2:] == [(EXPIRED, package_id, 1000)]


def test_what_was_told_as_expired_is_not_low_afterwards(rich: Product) -> None:
    """Late usage of its last day is deducted, and tells nothing of a package that has ended (D4, D27)."""
    (package_id,) = buy(rich)
    pass_time(rich, "2026-03-02T07:00:00+08:00")
    use(rich, 900, "2026-03-01T12:00:00+08:00")
    rich.run()
    rich.move("2026-03-03T09:00:00+08:00")
    use(rich, 100, "2026-03-01T12:00:00+08:00", "late")
    rich.move("2026-03-04T09:00:00+08:00")
    assert left(rich) == {package_id: 0}
    assert kinds(rich, *TIMED, *USED) == ["package_expiring", "package_expiring", EXPIRED]


def test_a_leap_day(rich: Product) -> None:
    """Delivered on 29 February, a package ends on 28 February, and is told before that (D11, D27)."""
    rich.now = at("2028-02-29T12:00:00+08:00")
    buy(rich)
    pass_time(rich, "2029-04-01T00:00:00+08:00")
    assert times(rich, *TIMED) == [
        ("package_expiring", "2029-02-21T23:59:59+08:00"),
        ("package_expiring", "2029-02-27T23:59:59+08:00"),
        ("package_expired", "2029-03-01T00:00:00+08:00"),
    ]


@pytest.mark.parametrize("moment", [NOW, "2025-03-08T23:00:00+08:00"])
def test_a_refunded_package_tells_nothing(rich: Product, moment: str) -> None:
    """It is gone at once: neither use nor its end is told (D26, D27)."""
    (package_id,) = buy(rich)
    pass_time(rich, moment)
    assert give_back(rich, package_id).status == 202
    use(rich, 1000, (at(moment) - timedelta(minutes=1)).isoformat())
    pass_time(rich, "2026-04-01T00:00:00+08:00")
    assert kinds(rich) == ["package_delivered", "refund_completed"]


def test_what_is_told_of_a_refund(rich: Product) -> None:
    """When the money is there, once, with each fund's part (D26, D28)."""
    (package_id,) = buy(rich)
    refund = give_back(rich, package_id).body
    rich.move("2025-03-01T10:02:59+08:00")
    assert kinds(rich) == ["package_delivered"]
    rich.now = at("2025-03-01T11:00:00+08:00")
    rich.sweep()
    rich.sweep()
    notice = told(rich)[-1].notice
    assert (notice.kind, notice.occurred_at) == (Kind.REFUND_COMPLETED, at("2025-03-01T11:00:00+08:00"))
    assert {name: notice.data[name] for name in ("refund_id", "package_id", "tag", "amount", "refunds")} == {
        "refund_id": refund["refund_id"],
        "package_id": package_id,
        "tag": TAG,
        "amount": "300.00",
        "refunds": {"cash": "300.00", "income_transfer": "0.00", "gift": "0.00"},
    }
    assert notice.data["voucher_forfeited"] == "0.00"
    assert len(told(rich)) == 2


# --- deliveries -----------------------------------------------------------------------------------------------


def test_twenty_packages_are_twenty_notices(rich: Product) -> None:
    """One a package, on the order's page, in the order of the pieces; no gift is told (D28)."""
    items = [{"sku": f"{TAG}:1000", "quantity": 12}, {"sku": "phone_two_factor:1000", "quantity": 8}]
    reply = order(rich, items)
    assert reply.status == 201, reply.text
    give(rich, 10)
    (page,) = told_pages(rich)
    assert [one.notice.data["package_id"] for one in page] == [one["package_id"] for one in reply.body["packages"]]
    assert [one.notice_id[-4:] for one in page] == [f"{number:04d}" for number in range(1, 21)]
    assert len({one.notice_id for one in page}) == 20
    first = page[0].notice
    assert first.data == {
        "package_id": reply.body["packages"][0]["package_id"],
        "tag": reply.body["packages"][0]["tag"],
        "total": 1000,
        "remaining": 1000,
        "order_id": reply.body["order_id"],
        "delivered_at": NOW,
        "expires_at": "2026-03-01T23:59:59+08:00",
    }
    rich.move("2025-03-02T10:00:00+08:00")
    assert len(told(rich)) == 20


def test_a_refused_or_repeated_order_tells_nothing_more(metered: Product) -> None:
    """Only what was delivered is told, and once for a repeated key (D28)."""
    refused = order(metered, [{"sku": f"{TAG}:10000", "quantity": 1}])
    assert (refused.status, refused.code) == (402, "insufficient_balance")
    assert kinds(metered) == []
    for _ in range(2):
        assert order(metered, [{"sku": f"{TAG}:1000", "quantity": 1}], "the key").status == 201
    assert kinds(metered) == ["package_delivered"]
