"""GET A/usage and the live totals behind it (contract, Metering; D1, D6, D14)."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.adapters.steps import NOW, A, at, calls, pages, post_usage, tables, usage
from tests.support.product import Product, event, events, stream_record

DAYS = ("2025-02-27", "2025-02-28", "2025-03-01")
WECHAT = {"interface": "plus.wechat_mini_program", "library": "authority"}


def a_mixed_history(product: Product) -> None:
    """Three days of two tags, two sub-accounts and three results."""
    batch = []
    for number, day in enumerate(DAYS, start=1):
        time = f"{day}T09:00:00+08:00"
        batch += events("acct-1", 10 * number, time, prefix=f"{day}-a", sub_account="team-a")
        batch += events("acct-1", number, time, prefix=f"{day}-b", code="-1", sub_account="team-b")
        batch += events("acct-1", 2, time, prefix=f"{day}-c", code="-2")
        batch += events("acct-1", 100 * number, time, prefix=f"{day}-d", **WECHAT)
    assert product.report(batch).body["rejected"] == 0


def test_by_day_is_what_is_answered_unless_asked(metered: Product) -> None:
    """Rows are days, oldest first; both ends of a range are included and empty days have no row."""
    a_mixed_history(metered)
    assert usage(metered) == usage(metered, by="day")
    shown = [(row["day"], row["calls"], row["not_chargeable"]) for row in usage(metered)]
    assert shown == [(DAYS[0], 111, 2), (DAYS[1], 222, 2), (DAYS[2], 333, 2)]
    assert [row["day"] for row in usage(metered, from_=DAYS[1], to=DAYS[2])] == list(DAYS[1:])
    assert [row["day"] for row in usage(metered, from_=DAYS[1], to=DAYS[1])] == [DAYS[1]]
    assert usage(metered, from_="2025-02-01", to="2025-02-26") == []


def test_by_tag(metered: Product) -> None:
    """Rows are tags, with all days of the range together."""
    a_mixed_history(metered)
    shown = [(row["tag"], row["calls"], row["not_chargeable"]) for row in usage(metered, by="tag")]
    assert shown == [("identity_check", 66, 6), ("plus_authority_wechat", 600, 0)]
    one_day = usage(metered, by="tag", from_=DAYS[0], to=DAYS[0])
    assert [(row["tag"], row["calls"]) for row in one_day] == [("identity_check", 11), ("plus_authority_wechat", 100)]


def test_by_sub_account(metered: Product) -> None:
    """Rows are sub-accounts, the main account's own calls under null; each main account is charged for all (D2)."""
    a_mixed_history(metered)
    shown = [(row["sub_account"], row["calls"], row["not_chargeable"]) for row in usage(metered, by="sub_account")]
    assert shown == [(None, 600, 6), ("team-a", 60, 0), ("team-b", 6, 0)]


def test_by_interface(metered: Product) -> None:
    """Rows are interfaces."""
    a_mixed_history(metered)
    shown = [(row["interface"], row["calls"], row["not_chargeable"]) for row in usage(metered, by="interface")]
    assert shown == [("api.id_card_verification", 66, 6), ("plus.wechat_mini_program", 600, 0)]


def test_by_result_code(metered: Product) -> None:
    """Rows are result codes, those that are not charged included (D6)."""
    a_mixed_history(metered)
    shown = {row["result_code"]: (row["calls"], row["not_chargeable"]) for row in usage(metered, by="result_code")}
    assert shown == {"0": (660, 0), "-1": (6, 0), "-2": (0, 6)}


def test_one_code_may_be_charged_for_one_interface_and_free_for_another(metered: Product) -> None:
    """A row of a result code adds up what is charged and what is not, each for itself."""
    metered.report(
        [
            event("acct-1", "e-1", NOW, code="-4", interface="api.bank_card_2e"),
            event("acct-1", "e-2", NOW, code="-4", interface="api.bank_card_3e"),
        ]
    )
    (row,) = usage(metered, by="result_code")
    assert (row["result_code"], row["calls"], row["not_chargeable"]) == ("-4", 1, 1)


@pytest.mark.parametrize("by", ["day", "tag", "sub_account", "interface", "result_code"])
def test_a_tag_can_be_asked_for_alone(metered: Product, by: str) -> None:
    """The tag filter leaves only that tag's calls, by any dimension, and the dimensions agree with each other."""
    a_mixed_history(metered)
    assert calls(metered, by=by) == (666, 6)
    assert calls(metered, by=by, tag="identity_check") == (66, 6)
    assert calls(metered, by=by, tag="plus_authority_wechat") == (600, 0)
    assert calls(metered, by=by, tag="face_risk") == (0, 0)
    for row in usage(metered, by=by, tag="identity_check"):
        assert row["tag"] == "identity_check"


@pytest.mark.parametrize("by", ["day", "tag"])
def test_how_calls_are_covered_adds_up(metered: Product, by: str) -> None:
    """Free, paid, postpaid and uncovered calls add up to the calls; without packages all of them are postpaid."""
    a_mixed_history(metered)
    for row in usage(metered, by=by):
        assert (row["free"], row["paid"], row["uncovered"]) == (0, 0, 0)
        assert row["postpaid"] == row["calls"]
    for row in usage(metered, by="interface"):
        assert not {"free", "paid", "postpaid", "uncovered"} & set(row)


def test_postpaid_off_makes_calls_uncovered_from_that_second(metered: Product) -> None:
    """What comes while postpaid is off is shown as uncovered, to the second (D5, D14)."""
    metered.now = at("2025-03-01T12:00:00.900+08:00")
    metered.request("PATCH", A, {"postpaid_enabled": False})
    metered.now = at("2025-03-01T13:00:00+08:00")
    metered.request("PATCH", A, {"postpaid_enabled": True})
    times = ["11:59:59", "12:00:00", "12:30:00", "12:59:59", "13:00:00"]
    metered.report([event("acct-1", time, f"2025-03-01T{time}+08:00") for time in times])
    for by in ("day", "tag"):
        (row,) = usage(metered, by=by)
        assert (row["calls"], row["postpaid"], row["uncovered"]) == (5, 2, 3)


def test_settlement_does_not_change_what_is_shown(metered: Product) -> None:
    """The same usage reads the same before its settlement, after it, and a month later."""
    a_mixed_history(metered)

    def shown() -> list[str]:
        span = {"from": DAYS[0], "to": DAYS[2]}
        dimensions = ("day", "tag", "sub_account", "interface", "result_code")
        return [metered.request("GET", f"{A}/usage", query={"by": by, **span}).text for by in dimensions]

    before = shown()
    for now in ("2025-03-01T12:00:00+08:00", "2025-03-02T09:00:00+08:00", "2025-04-02T09:00:00+08:00"):
        metered.move(now)
        assert shown() == before


def test_late_usage_is_shown_before_and_after_it_is_charged(metered: Product) -> None:
    """Usage that arrives after its day was settled is seen at once, and still after the run that charges it."""
    metered.report(events("acct-1", 10, NOW))
    metered.move("2025-03-02T10:00:00+08:00")
    metered.report(events("acct-1", 5, NOW, prefix="late", sub_account="team-a"))
    for now in ("2025-03-02T10:00:00+08:00", "2025-03-03T09:00:00+08:00", "2025-03-10T09:00:00+08:00"):
        metered.move(now)
        assert calls(metered, from_="2025-03-01", to="2025-03-01") == (15, 0)
        shown = {row["sub_account"]: row["calls"] for row in usage(metered, by="sub_account")}
        assert shown == {None: 10, "team-a": 5}
    metered.report(events("acct-1", 1, NOW, prefix="later"))
    assert calls(metered) == (16, 0)


def versions(product: Product) -> list[dict[str, Any]]:
    """Stream records of many versions of many buckets, in the order in which they were written."""
    seen: dict[tuple[str, str], bytes] = {}
    found = []
    for number in range(20):
        second = number * 7 % 60
        batch = events("acct-1", 5 + number % 9, f"2025-03-01T09:0{number % 3}:{second:02d}+08:00", f"v{number}")
        batch += events("acct-1", 3, NOW, f"w{number}", code=("-2", "0")[number % 2], sub_account=f"s{number % 4}")
        post_usage(product, batch)
        for item in product.dynamodb.scan(TableName="usage")["Items"]:
            key = (item["pk"]["S"], item["sk"]["S"])
            if "r" in item and seen.get(key) != item["r"]["B"]:
                seen[key] = item["r"]["B"]
                found.append(stream_record(item))
    return found


def test_stream_records_may_come_in_any_order_and_number(metered: Product) -> None:
    """Repeated, reordered and regrouped stream records lead to the same live totals as each once, in order."""
    records = versions(metered)
    for record in records:
        metered.invoke("RollupFunction", {"Records": [record]})
    expected = {by: usage(metered, by=by) for by in ("day", "tag", "sub_account", "result_code")}
    assert calls(metered) == (sum(5 + n % 9 for n in range(20)) + 30, 30)
    for seed in range(3):
        dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
        for item in metered.dynamodb.scan(TableName="live")["Items"]:
            metered.dynamodb.delete_item(TableName="live", Key={"pk": item["pk"], "sk": item["sk"]})
        again = records * 2
        dice.shuffle(again)
        while again:
            size = dice.randint(1, 25)
            part, again = again[:size], again[size:]
            assert metered.invoke("RollupFunction", {"Records": part}) == {"batchItemFailures": []}
        assert {by: usage(metered, by=by) for by in expected} == expected
        before = tables(metered)["live"]
        metered.invoke("RollupFunction", {"Records": records[::-1]})
        assert tables(metered)["live"] == before


def test_other_changes_of_the_usage_table_do_not_matter_to_the_totals(metered: Product) -> None:
    """Day items, dictionaries, marks and removals in the stream change no totals."""
    metered.report(events("acct-1", 3, NOW))
    before = tables(metered)["live"]
    items = metered.dynamodb.scan(TableName="usage")["Items"]
    records = [stream_record(item) for item in items if "r" not in item]
    records += [{"eventName": "REMOVE", "dynamodb": {"Keys": {}, "SequenceNumber": "1"}}]
    assert len(records) >= 3
    assert metered.invoke("RollupFunction", {"Records": records}) == {"batchItemFailures": []}
    assert tables(metered)["live"] == before


def test_money_does_not_depend_on_the_live_totals(metered: Product) -> None:
    """Without any live total a day is settled all the same, from its buckets."""
    post_usage(metered, events("acct-1", 10, NOW))
    assert calls(metered) == (0, 0)
    assert metered.get(f"{A}/bills/preview").body["total_cost"] == "3.00"
    metered.move("2025-03-02T09:00:00+08:00")
    assert metered.get(A).body["balance"]["cash"] == "997.00"
    assert calls(metered) == (10, 0)


@pytest.mark.parametrize("sandbox", ["false", "true"])
def test_live_totals_expire_in_the_cloud_only(metered: Product, monkeypatch: pytest.MonkeyPatch, sandbox: str) -> None:
    """Live totals carry a time to live long after the last question about them; in a sandbox they carry none."""
    monkeypatch.setenv("SANDBOX", sandbox)
    metered.report(events("acct-1", 3, NOW))
    metered.move("2025-03-02T09:00:00+08:00")
    items = [json.loads(item) for item in tables(metered)["live"]]
    assert len(items) >= 2
    last_question = int(at("2025-03-02T00:00:00+08:00").timestamp()) + (90 + 35) * 86_400
    for item in items:
        if sandbox == "true":
            assert "expires_at" not in item
        else:
            assert int(item["expires_at"]["N"]) >= last_question


RANGES = [
    ({"from": "2024-12-02", "to": "2025-03-01"}, 200),
    ({"from": "2024-12-01", "to": "2025-03-01"}, 422),
    ({"from": "2024-12-02"}, 200),
    ({"from": "2024-12-01"}, 422),
    ({"to": "2024-06-30"}, 200),
    ({"from": "2025-03-01", "to": "2025-03-01"}, 200),
    ({"from": "2025-03-02", "to": "2025-03-01"}, 422),
    ({"from": "2024-02-29", "to": "2024-03-01"}, 200),
    ({"from": "2025-02-29", "to": "2025-03-01"}, 422),
    ({"from": "0001-01-01"}, 422),
    ({"to": "0001-01-01"}, 200),
    ({"from": "0001-01-01", "to": "0001-01-10"}, 200),
    ({"from": "9999-12-31", "to": "9999-12-31"}, 200),
    ({"from": "0001-01-01", "to": "9999-12-31"}, 422),
    ({"from": "0000-01-01"}, 422),
    ({"from": "2025-3-1"}, 422),
    ({"from": "01-03-2025"}, 422),
    ({"from": "20250301"}, 422),
    ({"from": "2025-03-01T00:00:00+08:00"}, 422),
    ({"from": "2025-03-01T00:00:00"}, 422),
    ({"from": "1740787200"}, 422),
    ({"from": "２０２５-03-01"}, 422),
    ({"from": ""}, 422),
    ({"from": "today"}, 422),
    ({"to": "'; DROP TABLE usage; --"}, 422),
    ({"by": "month"}, 422),
    ({"by": ""}, 422),
    ({"by": "Day"}, 422),
    ({"tag": "no_such_tag"}, 422),
    ({"tag": ""}, 422),
    ({"tag": "x" * 5000}, 422),
    ({"limit": "0"}, 422),
    ({"limit": "-1"}, 422),
    ({"limit": "1001"}, 422),
    ({"limit": "1000"}, 200),
    ({"limit": "1"}, 200),
    ({"limit": "ten"}, 422),
    ({"limit": "1,1"}, 422),
    ({"limit": "9" * 5000}, 422),
    ({"cursor": "nonsense"}, 422),
    ({"cursor": ""}, 422),
    ({"cursor": "x" * 5000}, 422),
    ({"cursor": "🀄"}, 422),
]


@pytest.mark.parametrize("query, status", RANGES, ids=[repr(query)[:60] for query, _ in RANGES])
def test_what_may_be_asked(cloud: Product, query: dict[str, str], status: int) -> None:
    """Ranges of at most 90 days written as days, one of five dimensions, a tag of the catalog, a page of 1 to 1,000."""
    cloud.now = at(NOW)
    if cloud.get(A).status == 404:
        cloud.open_account("acct-1", opened_at="2025-01-01T00:00:00+08:00")
    reply = cloud.request("GET", f"{A}/usage", query=query)
    assert reply.status == status, reply.text
    if status == 422:
        assert reply.code == "invalid_request"
        assert {error["field"] for error in reply.body["errors"]} <= {"from", "to", "by", "tag", "limit", "cursor"}


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_usage(metered: Product, limit: int) -> None:
    """Pages hold every row once, whatever the rows are called."""
    names = ["None", "null", "(other)", "a", "账", "🀄", '"', "a,b"]
    batch = [event("acct-1", f"e-{n}", NOW, sub_account=name) for n, name in enumerate(names)]
    metered.report([*batch, event("acct-1", "own", NOW)])
    found = pages(metered, f"{A}/usage", limit, by="sub_account")
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert sorted(str(row["sub_account"]) for page in found for row in page) == sorted([*names, "None"])
    assert [row for page in found for row in page] == usage(metered, by="sub_account")


def test_an_account_without_usage_has_no_rows(product: Product) -> None:
    """Before anything is reported, before the service is even open, usage is an empty list."""
    product.request("POST", "/v1/accounts", {"account_id": "acct-1", "name": "Example"})
    assert product.get(f"{A}/usage").body == {"items": [], "next_cursor": None}


def test_accounts_do_not_see_each_other(product: Product) -> None:
    """Usage is that of the account that was asked for, whatever another one is called."""
    ids = ["a", "a-1", "a_1", "A"]
    for number, account_id in enumerate(ids, start=1):
        product.open_account(account_id, opened_at="2025-01-01T00:00:00+08:00")
        product.report(events(account_id, number, NOW))
    for number, account_id in enumerate(ids, start=1):
        (row,) = product.get(f"/v1/accounts/{account_id}/usage").body["items"]
        assert row["calls"] == number
