"""GET A/bills/details/{id}/explanation: every line adds up, step by step (contract, Bills; D4, D9, D14 to D20, D24)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.adapters.prepaid import (
    FUNDS,
    MONTHLY_OPENED,
    SKU,
    TAG,
    buy,
    give,
    give_back,
    order,
    packages,
    postpaid,
    use,
    voucher,
)
from tests.adapters.steps import A, at, details, empty, resources, rows, total
from tests.support.product import Product, Reply

RISK = {"interface": "face_risk"}
PHONE = {"interface": "api.phone_2e"}
CARD = {"interface": "api.bank_card_2e"}
PARTS = ("raw_quantity", "deducted_quantity", "quantity", "uncovered_quantity")
MONTHS = ("2025-03", "2025-04", "2025-05")
STEPS = {
    "postpay_daily": ["usage", "packages", "price", "cost", "rounding", "payment", "corrections"],
    "postpay_monthly": ["usage", "packages", "price", "cost", "rounding", "payment", "corrections"],
    "prepay_purchase": ["package", "cost", "rounding", "payment", "corrections"],
    "prepay_refund": ["refund", "cost", "rounding", "payment", "corrections"],
    "adjustment": ["adjustment", "cost", "rounding", "payment", "corrections"],
    "precision_difference": ["month", "corrections"],
}


def explanation(product: Product, transaction_id: str, **query: str) -> Reply:
    """The explanation of a line."""
    return product.get(f"{A}/bills/details/{transaction_id}/explanation", **query)


def steps(product: Product, transaction_id: str, **query: str) -> dict[str, dict[str, Any]]:
    """The steps of a line by their names."""
    reply = explanation(product, transaction_id, **query)
    assert reply.status == 200, reply.text
    return {step["step"]: step for step in reply.body["steps"]}


def put(product: Product, path: str, **body: Any) -> None:
    """Set something as the operator."""
    reply = product.request("PUT", path, {name.rstrip("_"): value for name, value in body.items()})
    assert reply.status == 200, reply.text


def adjust(product: Product, amount: str, key: str, **more: str) -> str:
    """An adjustment; its transaction id."""
    body = {"amount": amount, "reason": "an outage", **more}
    reply = product.request("POST", f"{A}/adjustments", body, headers={"Idempotency-Key": key})
    assert reply.status == 201, reply.text
    transaction_id: str = reply.body["transaction_id"]
    return transaction_id


def live_daily(product: Product) -> None:
    """A month of a daily account in which everything happens that a line can be made of."""
    product.now = at("2024-03-02T10:30:00+08:00")
    product.open_account("acct-1", cash="3000.00", opened_at="2023-06-01T00:00:00+08:00")
    product.top_up("acct-1", "2.00", "gift")
    # Ends on 2 March 2025 at 10:30:00, that second included.
    give(product, 30)
    product.now = at("2025-03-01T09:00:00+08:00")
    put(product, f"{A}/discounts/face_risk", rate="0.9", from_="2025-03-02")
    put(product, f"{A}/contract-prices/phone_two_factor", unit_price="0.11", from_="2025-03-02", until="2025-03-03")
    put(product, "/v1/prices/bank_card_check", price_list="daily", unit_price="0.41", from_="2025-03-02")
    put(product, "/v1/activities/spring", from_="2025-03-01", package_rate="0.8")
    voucher(product, "1.50", "postpaid")
    product.now = at("2025-03-01T12:00:00+08:00")
    for kind in ({}, RISK, PHONE, CARD):
        use(product, 10, "2025-03-01T10:00:00+08:00", f"1-{kind}", **kind)
    product.move("2025-03-02T12:00:00+08:00")
    postpaid(product, on=False)
    product.now = at("2025-03-02T13:00:00+08:00")
    postpaid(product, on=True)
    product.now = at("2025-03-02T14:00:00+08:00")
    put(product, f"{A}/violation", active=True, reason="x")
    product.now = at("2025-03-02T15:00:00+08:00")
    put(product, f"{A}/violation", active=False, reason="x")
    for number, clock in enumerate(("09:00", "11:00", "12:30", "13:30", "14:30"), start=1):
        use(product, 3 * number + 10, f"2025-03-02T{clock}:00+08:00", f"2-{clock}")
    for kind in (RISK, PHONE, CARD):
        use(product, 7, "2025-03-02T13:30:00+08:00", f"2-{kind}", **kind)
    product.move("2025-03-03T09:00:00+08:00")
    bought = order(
        product, [{"sku": SKU, "quantity": 2}], voucher_id=voucher(product, "100.00"), activity_id="spring"
    ).body["packages"]
    give_back(product, bought[1]["package_id"])
    use(product, 8, "2025-03-03T08:00:00+08:00", "3")
    use(product, 2, "2025-03-02T11:00:00+08:00", "late-a")
    use(product, 5, "2025-03-02T14:30:00+08:00", "late-b")
    product.move("2025-03-05T09:00:00+08:00")
    give(product, 3)
    use(product, 5, "2025-03-05T08:00:00+08:00", "later")
    product.move("2025-03-06T09:00:00+08:00")
    # Nothing is due on the days between.
    product.now = at("2025-03-31T23:58:30+08:00")
    # Given back in March, paid back in April.
    give_back(product, buy(product, SKU)[0])
    product.move("2025-04-02T09:00:00+08:00")


def live_monthly(product: Product) -> None:
    """A month of a monthly account whose step changes with late usage, in two price periods."""
    product.now = at("2025-03-01T09:00:00+08:00")
    product.open_account("acct-1", cash="3000.00", opened_at=MONTHLY_OPENED)
    give(product, 100, "bank_card_check")
    put(product, f"{A}/discounts/bank_card_check", rate="0.9", from_="2025-03-16")
    put(product, f"{A}/contract-prices/phone_two_factor", unit_price="0.11", from_="2025-03-16")
    for day, number in (("05", 1050), ("20", 40)):
        product.now = at(f"2025-03-{day}T12:00:00+08:00")
        use(product, number, f"2025-03-{day}T10:00:00+08:00", f"card-{day}", **CARD)
        use(product, 6, f"2025-03-{day}T10:00:00+08:00", f"phone-{day}", **PHONE)
        use(product, 7, f"2025-03-{day}T10:00:00+08:00", f"risk-{day}", **RISK)
    product.now = at("2025-04-01T08:00:00+08:00")
    product.run()
    product.now = at("2025-04-02T12:00:00+08:00")
    use(product, 20, "2025-03-20T10:00:00+08:00", "late-card", **CARD)
    use(product, 3, "2025-03-05T10:00:00+08:00", "late-phone", **PHONE)
    product.now = at("2025-05-01T08:00:00+08:00")
    product.run()


@pytest.fixture(scope="module", params=[live_daily, live_monthly], ids=["daily", "monthly"])
def history(cloud: Product, request: pytest.FixtureRequest) -> Iterator[Product]:
    """The histories above; tests only read them."""
    empty(cloud)
    request.param(cloud)
    yield cloud
    empty(cloud)


def explained(product: Product, month: str) -> list[dict[str, Any]]:
    """The lines of a month of charges, each with its explanation."""
    found = details(product, month, basis="charge")
    return [{**line, "steps": steps(product, line["transaction_id"])} for line in found]


@pytest.fixture(scope="module")
def lines(history: Product) -> list[dict[str, Any]]:
    """Every line of the history, each with its explanation."""
    return [line for month in MONTHS for line in explained(history, month)]


def test_every_line_is_explained(history: Product, lines: list[dict[str, Any]]) -> None:
    """Whatever a line is, it has its steps in order, each with a sentence in either language, and without gaps."""
    kinds = {line["transaction_type"] for line in lines}
    assert kinds in (
        {"postpay_daily", "prepay_purchase", "prepay_refund", "precision_difference"},
        {"postpay_monthly", "precision_difference"},
    )
    for line in lines:
        assert list(line["steps"]) == STEPS[line["transaction_type"]]
        for locale in ("zh-CN", "en"):
            for step in steps(history, line["transaction_id"], locale=locale).values():
                assert step["text"]
                assert not {"{", "}"} & set(step["text"])
                assert "None" not in step["text"]
                assert locale == "en" or not step["text"].isascii()
                if step["step"] in {"usage", "packages"}:
                    assert not re.search(r"(?<![\w-])-\d", step["text"]), step["text"]
                    assert "days: 0" not in step["text"]


def test_the_quantities_add_up(lines: list[dict[str, Any]]) -> None:
    """Segments and what is carried = the line; packages = deducted; raw - deducted - uncovered = charged."""
    for line in (one for one in lines if "usage" in one["steps"]):
        usage, given = line["steps"]["usage"], line["steps"]["packages"]
        for part in PARTS:
            name = "calls" if part == "raw_quantity" else part
            assert sum(one[name] for one in usage["segments"]) + usage["carried"][part] == usage[part] == line[part]
        assert usage["raw_quantity"] - usage["deducted_quantity"] - usage["uncovered_quantity"] == usage["quantity"]
        assert (given["free"] + given["paid"], given["quantity"]) == (given["deducted_quantity"], usage["quantity"])
        by_packages = sum(one["calls"] for one in given["packages"])
        assert by_packages + usage["carried"]["deducted_quantity"] == given["deducted_quantity"]
        for source, name in (("gift", "free"), ("purchase", "paid")):
            if not usage["carried"]["deducted_quantity"]:
                assert sum(one["calls"] for one in given["packages"] if one["source"] == source) == given[name]
        for segment in usage["segments"]:
            inside = [one for one in given["packages"] if one["start"] == segment["start"]]
            assert sum(one["calls"] for one in inside) == segment["deducted_quantity"]
            assert segment["postpaid"] or not segment["quantity"]
            assert not segment["stopped"] or not segment["deducted_quantity"]


def test_the_lines_of_a_bill_hold_what_it_counted(lines: list[dict[str, Any]]) -> None:
    """Over the lines of a bill and tag nothing is carried: they hold the calls of its segments, each once (D19)."""
    bills: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        if "usage" in line["steps"]:
            bills.setdefault((line["bill_id"], line["tag"]), []).append(line)
    for own in bills.values():
        segments = [(one["start"], one["end"]) for line in own for one in line["steps"]["usage"]["segments"]]
        assert len(set(segments)) == len(segments)
        counted = sum(one["calls"] for line in own for one in line["steps"]["usage"]["segments"])
        assert counted == sum(line["raw_quantity"] for line in own) > 0


def test_the_packages_gave_what_they_have_used(history: Product, lines: list[dict[str, Any]]) -> None:
    """Over all lines each package gave what the list of packages calls used, under its own name and dates."""
    given: dict[str, int] = {}
    known = {one["package_id"]: one for one in packages(history)}
    for line in (one for one in lines if "packages" in one["steps"]):
        for one in line["steps"]["packages"]["packages"]:
            given[one["package_id"]] = given.get(one["package_id"], 0) + one["calls"]
            package = known[one["package_id"]]
            assert (one["name"], one["source"]) == (package["name"], package["source"])
            assert (one["delivered_at"], one["ends_at"]) == (package["obtained_at"], package["expires_at"])
    assert given == {name: one["used"] for name, one in known.items() if one["used"]}


def test_price_times_quantity_is_the_cost(history: Product, lines: list[dict[str, Any]]) -> None:
    """List price x rate = unit price, unit price x quantity = cost, as the line says and exact to 8 decimals (D15)."""
    for line in (one for one in lines if "cost" in one["steps"]):
        cost = line["steps"]["cost"]
        assert Decimal(cost["unit_price"]) * cost["quantity"] == Decimal(cost["total_cost"])
        for name in ("unit_price", "quantity", "original_cost", "total_cost", "formula"):
            assert cost[name] == line[name]
        price = line["steps"].get("price")
        if price is None:
            continue
        assert (price["unit_price"], price["list_price"]) == (line["unit_price"], line["list_price"])
        if price["list_price"] is None:
            assert price["contract_price"]["unit_price"] == price["unit_price"]
            continue
        assert price["contract_price"] is None
        assert Decimal(price["list_price"]) * Decimal(price["discount_rate"]) == Decimal(price["unit_price"])
        assert (price["discount"] or {"rate": "1"})["rate"] == price["discount_rate"]
        day = line["usage_start"][:10]
        listed = history.get("/v1/catalog", price_list=price["price_list"], at=day).body["tags"]
        tag = next(one for one in listed if one["tag"] == line["tag"])
        if price["tier_from_calls"] is None:
            assert tag["unit_price"] == price["list_price"]
        else:
            reached = [one for one in tag["tiers"] if one["from_calls"] <= price["month_quantity"]][-1]
            shown = {"from_calls": price["tier_from_calls"], "unit_price": price["list_price"]}
            assert shown == reached


def test_rounding_and_payment_are_those_of_the_resource(history: Product, lines: list[dict[str, Any]]) -> None:
    """The lines of a resource add up to what is rounded, and what was deducted and paid is its row's (D15, D16)."""
    charged = [row for month in MONTHS for row in resources(history, month, basis="charge")]
    by_resource = {(row["bill_id"], row["resource_id"]): row for row in charged}
    for line in (one for one in lines if "rounding" in one["steps"]):
        key = (line["bill_id"], line["resource_id"])
        own = [one for one in lines if (one["bill_id"], one["resource_id"]) == key]
        rounding, payment = line["steps"]["rounding"], line["steps"]["payment"]
        assert (rounding["lines"], rounding["resource_id"]) == (len(own), line["resource_id"])
        assert Decimal(rounding["details"]) == total(own, "total_cost")
        assert rounding["deducted"] == by_resource[key]["total_cost"]
        difference = Decimal(rounding["deducted"]) - Decimal(rounding["details"])
        assert Decimal(rounding["difference"]) == difference
        assert abs(difference) <= Decimal("0.005")
        assert {fund: payment[fund] for fund in FUNDS} == {fund: line[fund] for fund in FUNDS}
        assert payment["resource"] == {fund: by_resource[key][fund] for fund in FUNDS}
        assert sum(Decimal(payment["resource"][fund]) for fund in FUNDS) == Decimal(rounding["deducted"])


def test_the_row_that_closes_a_month_shows_the_month(history: Product, lines: list[dict[str, Any]]) -> None:
    """Details and deducted by tag are those of the charge month, and their difference is the row (D15)."""
    closing = [line for line in lines if line["transaction_type"] == "precision_difference"]
    assert closing
    for line in closing:
        step, query = line["steps"]["month"], {"basis": "charge"}
        own = [one for one in details(history, step["month"], **query) if one["tag"]]
        assert Decimal(step["details"]) == total(own, "total_cost")
        assert Decimal(step["deducted"]) == total(resources(history, step["month"], **query), "total_cost")
        assert Decimal(step["difference"]) == Decimal(step["deducted"]) - Decimal(step["details"])
        assert step["difference"] == line["total_cost"]
        for name in ("details", "deducted", "difference"):
            assert total(step["by_tag"], name) == Decimal(step[name])


def test_the_query_for_the_calls_is_that_of_the_line(lines: list[dict[str, Any]], history: Product) -> None:
    """A line of usage says how to find its calls in the archive: account, days and tag; other lines have no calls."""
    for line in lines:
        query = explanation(history, line["transaction_id"]).body["calls_query"]
        if "usage" not in line["steps"]:
            assert query is None
            continue
        for part in ("acct-1", line["tag"], line["usage_start"][:10], line["usage_end"][:10]):
            assert f"'{part}'" in query["sql"]


def of_tag(lines: list[dict[str, Any]], tag: str, day: str = "") -> list[dict[str, Any]]:
    """The usage lines of a tag, and of a day of it."""
    return [one for one in lines if one["tag"] == tag and "usage" in one["steps"] and (one["usage_day"] or "") >= day]


only_daily = pytest.mark.parametrize("history", [live_daily], ids=["daily"], indirect=True)
only_monthly = pytest.mark.parametrize("history", [live_monthly], ids=["monthly"], indirect=True)


@only_daily
def test_a_cut_day_says_why_it_is_cut(history: Product, lines: list[dict[str, Any]]) -> None:
    """A gift's end, postpaid off and on, and a stop: each cut says what happened at its instant (D5, D11, D14, D22)."""
    line = of_tag(lines, TAG, "2025-03-02")[0]
    segments = line["steps"]["usage"]["segments"]
    shown = [
        (
            one["start"][11:19],
            [cause["cause"] for cause in one["begins_with"]],
            [cause["cause"] for cause in one["ends_with"]],
            one["calls"],
            one["deducted_quantity"],
            one["uncovered_quantity"],
        )
        for one in segments
    ]
    assert shown == [
        ("00:00:00", [], ["package_ended"], 13, 13, 0),
        ("10:30:01", ["package_ended"], ["postpaid_off"], 16, 0, 0),
        ("12:00:00", ["postpaid_off"], ["postpaid_on"], 19, 0, 19),
        ("13:00:00", ["postpaid_on"], ["stop_began"], 22, 0, 0),
        ("14:00:00", ["stop_began"], ["stop_ended"], 25, 0, 0),
    ]
    (gift,) = (one["package_id"] for one in packages(history) if one["source"] == "gift" and one["total"] == 30)
    assert segments[0]["ends_with"] == [{"cause": "package_ended", "package_id": gift}]
    assert [one["stopped"] for one in segments] == [False] * 4 + [True]
    text = steps(history, line["transaction_id"], locale="en")["usage"]["text"]
    assert "ended at 2025-03-02 10:30:01" in text
    assert "switched off at 2025-03-02 12:00:00" in text
    assert "made while service was stopped: 25;" in text


def test_a_day_in_a_stop_says_why_no_package_was_used(metered: Product) -> None:
    """Wholly inside a stop, and on the day of the release, the text says that packages are not used (D22, D23)."""
    give(metered, 50, "face_risk")
    # Arrears from here on: stopped 24 hours later, released 30 days after that, on 1 April at 10:00.
    adjust(metered, "-1001.00", "owing")
    metered.now = at("2025-04-01T12:00:00+08:00")
    for time in ("2025-03-05T10:00:00+08:00", "2025-04-01T09:00:00+08:00", "2025-04-01T11:00:00+08:00"):
        use(metered, 5, time, **RISK)
    metered.now = at("2025-04-02T08:00:00+08:00")
    metered.run()
    whole, last = of_tag([line for month in MONTHS for line in explained(metered, month)], "face_risk")
    assert [one["quantity"] for one in (whole, last)] == [5, 10]
    usage = steps(metered, last["transaction_id"])["usage"]
    assert [cause["cause"] for cause in usage["segments"][0]["ends_with"]] == ["released"]
    for line, calls in ((whole, 5), (last, 10)):
        english, chinese = (steps(metered, line["transaction_id"], locale=one)["usage"] for one in ("en", "zh-CN"))
        assert [one["stopped"] for one in english["segments"]] == [True] * len(english["segments"])
        assert f"while service was stopped: {calls}; packages are not used during a stop." in english["text"]
        assert f"其中 {calls} 次发生在停服期间，停服期间不抵扣资源包。" in chinese["text"]


@only_daily
def test_late_usage_says_what_was_taken_before(history: Product, lines: list[dict[str, Any]]) -> None:
    """A late line has the new calls alone, in the day's own segments, and names the bill that took the others (D4)."""
    first, late = (one for one in of_tag(lines, TAG) if one["usage_day"] == "2025-03-02")
    usage = late["steps"]["usage"]
    assert [(one["start"][11:19], one["calls"]) for one in usage["segments"]] == [("10:30:01", 2), ("14:00:00", 5)]
    assert [cause["cause"] for cause in usage["segments"][0]["begins_with"]] == ["package_ended"]
    assert [(one["bill_id"], one["calls"]) for one in usage["earlier"]] == [(first["bill_id"], 95)]
    assert first["steps"]["usage"]["earlier"] == []


@only_daily
def test_prices_say_where_they_come_from(history: Product, lines: list[dict[str, Any]]) -> None:
    """List price with its date and who set it; discount and contract price with their days (D18, D20)."""
    prices = {(one["tag"], one["usage_day"]): one["steps"]["price"] for one in lines if "price" in one["steps"]}
    card = prices["bank_card_check", "2025-03-02"]
    assert (card["list_price"], card["listed_from"], card["set_by"]) == ("0.41", "2025-03-02", "operator")
    assert "运营方调价，自 2025-03-02 起执行" in card["text"]
    before = prices["bank_card_check", "2025-03-01"]
    assert (before["price_list"], before["listed_from"], before["set_by"]) == ("daily", None, "catalog")
    assert prices["face_risk", "2025-03-01"]["discount"] is None
    assert prices["face_risk", "2025-03-02"]["discount"] == {"rate": "0.9", "from": "2025-03-02", "until": None}
    phone = prices["phone_two_factor", "2025-03-02"]
    agreed = {"unit_price": "0.11", "from": "2025-03-02", "until": "2025-03-03"}
    assert (phone["contract_price"], phone["price_list"], phone["set_by"]) == (agreed, None, None)


@only_daily
def test_a_voucher_that_paid_is_named(history: Product, lines: list[dict[str, Any]]) -> None:
    """A line that a voucher paid part of says which; a line that none paid names none (D16)."""
    known = {one["voucher_id"] for one in rows(history, f"{A}/vouchers")}
    paid = [one["steps"]["payment"] for one in lines if "payment" in one["steps"]]
    for payment in paid:
        by_voucher = Decimal(payment["voucher"]) != 0
        assert by_voucher == (payment["voucher_id"] is not None)
        assert not by_voucher or payment["voucher_id"] in known
    assert len({payment["voucher_id"] for payment in paid}) == 3


@only_daily
def test_a_purchase_and_its_refund(history: Product, lines: list[dict[str, Any]]) -> None:
    """The list price, the activity's rate and the amount; what goes back, and what a voucher had paid is lost (D24)."""
    bought = [one["steps"]["package"] for one in lines if one["transaction_type"] == "prepay_purchase"]
    first = bought[0]
    assert (first["sku"], first["list_price"], first["package_rate"], first["unit_price"]) == (
        SKU,
        "300.00",
        "0.8",
        "240.00",
    )
    assert (first["activity_id"], bought[2]["activity_id"], bought[2]["unit_price"]) == ("spring", None, "300.00")
    refunds = [one for one in lines if one["transaction_type"] == "prepay_refund"]
    assert [one["charged_at"][:10] for one in refunds] == ["2025-03-03", "2025-04-01"]
    for line in refunds:
        step = line["steps"]["refund"]
        back = {fund: Decimal(step["refunds"][fund]) for fund in FUNDS}
        assert sum(back.values()) == -Decimal(line["total_cost"])
        assert back == {fund: -Decimal(line[fund]) for fund in FUNDS}
        paid = {fund: Decimal(step["paid"][fund]) for fund in FUNDS}
        assert paid == {**back, "voucher": Decimal(step["voucher_forfeited"])}
        assert line["charged_at"] == step["completed_at"] > step["requested_at"]
        assert step["package_id"] in {one["package_id"] for one in packages(history, status="refunded")}
    assert [Decimal(one["steps"]["refund"]["voucher_forfeited"]) for one in refunds] == [50, 0]


@only_monthly
def test_a_step_that_late_usage_reaches(history: Product) -> None:
    """Late usage takes the month to the next step: lines take back at the old price what others charge anew (D19)."""
    late = [one for one in details(history, "2025-05", basis="charge") if one["tag"] == "bank_card_check"]
    shown, said = [], []
    for line in late:
        made = steps(history, line["transaction_id"], locale="en")
        usage, price = made["usage"], made["price"]
        counted = sum(one["calls"] for one in usage["segments"])
        carried = usage["carried"]["raw_quantity"], usage["carried"]["deducted_quantity"]
        picked = price["tier_from_calls"], price["month_quantity"]
        shown.append((line["usage_start"][8:10], *picked, counted, *carried))
        assert ("takes back" in usage["text"]) == (usage["raw_quantity"] < 0)
        assert ("priced again" in usage["text"]) == (usage["raw_quantity"] > 0)
        assert ("Calls counted" in usage["text"]) == (counted > 0)
        said.append(made["packages"]["text"])
    assert shown == [
        ("01", 0, 990, 0, -1050, -100),
        ("16", 0, 990, 0, -40, 0),
        ("01", 1000, 1010, 0, 1050, 100),
        ("16", 1000, 1010, 20, 40, 0),
    ]
    # What a package gave stays given: nothing goes back to it, and the new price is only for what was charged.
    assert [text.replace("; another line of this bill charges them at the new one.", "!") for text in said] == [
        "Calls that packages gave in earlier bills: 100; these stay given. Calls taken back at the old price: 950!",
        "Calls taken back at the old price: 40!",
        (
            "Calls deducted from packages: 100; first 100 free or gifted ones, then 0 bought ones."
            " Of these, given in earlier bills: 100. Calls charged postpaid: 950."
        ),
        "No package gave anything. Calls charged postpaid: 60.",
    ]
    (phone,) = (one for one in details(history, "2025-05", basis="charge") if one["tag"] == "phone_two_factor")
    usage = steps(history, phone["transaction_id"])["usage"]
    assert (usage["raw_quantity"], usage["carried"]["raw_quantity"]) == (3, 0)
    assert [one["calls"] for one in usage["earlier"]] == [6]


def test_corrections_are_told_by_what_they_correct(metered: Product) -> None:
    """An adjustment says what it corrects and why, the line lists its adjustments oldest first; it stays as it was."""
    use(metered, 10, "2025-03-01T10:00:00+08:00")
    metered.move("2025-03-02T09:00:00+08:00")
    (before,) = details(metered)
    line = before["transaction_id"]
    assert steps(metered, line, locale="en")["corrections"]["text"] == "No adjustment names this line."
    first = adjust(metered, "1.00", "a", corrects=line)
    metered.move("2025-03-03T09:00:00+08:00")
    second = adjust(metered, "-0.25", "b", corrects=line)
    third = adjust(metered, "-0.75", "c", corrects=first)
    assert details(metered)[0] == before
    told = steps(metered, line)["corrections"]["corrections"]
    assert [(one["transaction_id"], one["total_cost"], one["reason"]) for one in told] == [
        (first, "-1.00", "an outage"),
        (second, "0.25", "an outage"),
    ]
    assert [one["charged_at"][:10] for one in told] == ["2025-03-02", "2025-03-03"]
    assert steps(metered, first)["adjustment"]["corrects"] == line
    assert [one["transaction_id"] for one in steps(metered, first)["corrections"]["corrections"]] == [third]
    assert line in steps(metered, first)["adjustment"]["text"]


def test_the_language_is_that_of_the_contact(metered: Product) -> None:
    """Without `locale` the text is in the language of the account's contact; the figures do not depend on it."""
    use(metered, 1, "2025-03-01T10:00:00+08:00")
    metered.move("2025-03-02T09:00:00+08:00")
    (line,) = details(metered)
    chinese = explanation(metered, line["transaction_id"]).body
    assert (chinese["locale"], "计入用量" in chinese["steps"][0]["text"]) == ("zh-CN", True)
    assert metered.request("PATCH", A, {"contact": {"locale": "en"}}).status == 200
    english = explanation(metered, line["transaction_id"]).body
    assert (english["locale"], "Calls counted" in english["steps"][0]["text"]) == ("en", True)
    assert explanation(metered, line["transaction_id"], locale="zh-CN").body == chinese
    for one, other in zip(chinese["steps"], english["steps"], strict=True):
        assert {**one, "text": ""} == {**other, "text": ""}
    assert explanation(metered, line["transaction_id"], locale="fr").code == "invalid_request"


def garbage(line: str, order_id: str) -> list[str]:
    """Ids that are nearly one, and ids that are none."""
    day, version, number = line.split("-")
    return [
        f"{day}-{version}-0",
        f"{day}-{version}-2",
        f"{day}-{version}-01",
        f"{day}-0{version}-{number}",
        f"{day}-{version}",
        f"{day}-999-{number}",
        f"20250302-{version}-{number}",
        f"20250230-{version}-{number}",
        f"20259999-{version}-{number}",
        f"{day}-{'9' * 13}-1",
        f"{day}-{'9' * 3000}-1",
        order_id,
        f"{order_id}-2",
        f"{order_id}-0",
        f"{order_id.replace('order', 'refund')}-1",
        f"{order_id.replace('order', 'adjustment')}-1",
        "order-20259999999999-000005-ba36a4ed-1",
        "precision-202503-1",
        "precision-202503-2",
        "precision-202513-1",
        "top-up-4",
        "top-up-4-ba36a4ed",
        "x",
        "None",
        "{transaction_id}",
        "20250301-4-1%0A",
        "２０２５０３０１-4-1",
    ]


def test_there_is_nothing_else(metered: Product) -> None:
    """Ids of no line, however near, and those of another account's are not found."""
    use(metered, 1, "2025-03-01T10:00:00+08:00", **RISK)
    (package_id,) = buy(metered)
    give_back(metered, package_id)
    processing = metered.get(f"{A}/refunds").body["items"][0]["refund_id"]
    metered.now = at("2025-03-02T08:00:00+08:00")
    metered.run()
    line = next(one["transaction_id"] for one in details(metered) if one["usage_day"])
    order_id = metered.get(f"{A}/orders").body["items"][0]["order_id"]
    metered.open_account("acct-2")
    for known in (line, f"{order_id}-1"):
        assert explanation(metered, known).status == 200
        reply = metered.get(f"/v1/accounts/acct-2/bills/details/{known}/explanation")
        assert (reply.status, reply.code) == (404, "transaction_not_found")
    for one in (*garbage(line, order_id), f"{processing}-1"):
        reply = explanation(metered, one)
        assert reply.status == 404, one
        assert reply.code in {"transaction_not_found", "route_not_found"}, one
    metered.sweep()
    assert explanation(metered, f"{processing}-1").status == 200
