"""GET A/usage with free, paid, postpaid and uncovered: live, and as the run then writes it (contract, Metering)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.prepaid import (
    TAG,
    Interrupted,
    buy,
    details_quantities,
    everything,
    give,
    give_back,
    packages,
    postpaid,
    put_back,
    split,
    use,
)
from tests.adapters.steps import NOW, A, at, pages, post_usage, usage
from tests.support.product import Product, events

DAYS = ("2025-02-27", "2025-02-28", "2025-03-01")
UPLOADED: dict[str, Any] = {"interface": "enhanced.wechat_mini_program", "library": "uploaded"}
PARTS = ("free", "paid", "postpaid", "uncovered")


def parts(row: dict[str, Any]) -> tuple[int, int, int, int]:
    """How the calls of a row are covered; they add up."""
    assert sum(row[part] for part in PARTS) == row["calls"]
    return row["free"], row["paid"], row["postpaid"], row["uncovered"]


def by_day(product: Product, **query: str) -> dict[str, tuple[int, int, int, int]]:
    """The split of each day."""
    return {row["day"]: parts(row) for row in usage(product, by="day", **query)}


def by_tag(product: Product, **query: str) -> dict[str, tuple[int, int, int, int]]:
    """The split of each tag."""
    return {row["tag"]: parts(row) for row in usage(product, by="tag", **query)}


def a_history(product: Product) -> None:
    """Two tags over three open days: a gift, a package and an overflow without postpaid."""
    product.now = at("2025-02-27T12:00:00+08:00")
    give(product, 100)
    buy(product, "enhanced_uploaded_wechat:1000")
    use(product, 60, "2025-02-27T10:00:00+08:00")
    use(product, 700, "2025-02-27T11:00:00+08:00", **UPLOADED)
    product.now = at("2025-02-28T12:00:00+08:00")
    use(product, 60, "2025-02-28T10:00:00+08:00")
    use(product, 500, "2025-02-28T11:00:00+08:00", **UPLOADED)
    product.now = at("2025-03-01T12:00:00+08:00")
    postpaid(product, on=False)
    product.now = at("2025-03-01T13:00:00+08:00")
    use(product, 7, "2025-03-01T11:59:59.999+08:00")
    use(product, 9, "2025-03-01T12:00:00+08:00")
    use(product, 3, "2025-03-01T12:30:00+08:00", code="-2")


@pytest.fixture
def history(product: Product) -> Product:
    """The history above, of a daily account."""
    product.now = at("2025-02-27T09:00:00+08:00")
    product.open_account("acct-1", cash="1000.00", opened_at="2025-01-01T00:00:00+08:00")
    a_history(product)
    return product


def test_by_day_and_by_tag_tell_the_same(history: Product) -> None:
    """Each day and each tag is split, and both ways add up to the same."""
    assert by_day(history) == {DAYS[0]: (60, 700, 0, 0), DAYS[1]: (40, 300, 220, 0), DAYS[2]: (0, 0, 7, 9)}
    assert by_tag(history) == {TAG: (100, 0, 27, 9), "enhanced_uploaded_wechat": (0, 1000, 200, 0)}
    assert by_day(history, tag=TAG) == {DAYS[0]: (60, 0, 0, 0), DAYS[1]: (40, 0, 20, 0), DAYS[2]: (0, 0, 7, 9)}
    assert by_tag(history, tag=TAG) == {TAG: (100, 0, 27, 9)}
    assert [row["not_chargeable"] for row in usage(history, by="day")] == [0, 0, 3]


def test_a_range_does_not_change_what_a_day_says(history: Product) -> None:
    """Open days outside of the range take their part of the packages all the same."""
    everything = by_day(history)
    for day in DAYS:
        assert by_day(history, from_=day, to=day) == {day: everything[day]}
    assert by_day(history, from_=DAYS[1], to=DAYS[2]) == {day: everything[day] for day in DAYS[1:]}
    one_day = {TAG: (40, 0, 20, 0), "enhanced_uploaded_wechat": (0, 300, 200, 0)}
    assert by_tag(history, from_=DAYS[1], to=DAYS[1]) == one_day
    for day in DAYS:
        assert split(history, day, tag=TAG) == by_day(history, tag=TAG)[day]


def test_the_run_writes_what_was_shown(history: Product) -> None:
    """The same split before the runs, after them and a month later, and the bills' lines say the same."""
    shown = by_day(history), by_tag(history)
    history.move("2025-03-01T14:00:00+08:00")
    # The runs of 08:00 were left out so far.
    for moment in ("2025-03-02T09:00:00+08:00", "2025-03-03T09:00:00+08:00", "2025-04-02T09:00:00+08:00"):
        history.move(moment)
        span = {"from_": DAYS[0], "to": DAYS[2]}
        assert (by_day(history, **span), by_tag(history, **span)) == shown
    lines = details_quantities(history, "2025-02", "2025-03")
    for tag, (free, paid, charged, uncovered) in shown[1].items():
        own = [line for line in lines if line["tag"] == tag]
        assert sum(line["deducted_quantity"] for line in own) == free + paid
        assert sum(line["quantity"] for line in own) == charged
        assert sum(line["raw_quantity"] for line in own) == free + paid + charged + uncovered


def test_the_packages_say_the_same(history: Product) -> None:
    """What gifts and bought packages have used is what the split calls free and paid."""
    for moment in ("2025-03-01T13:00:00+08:00", "2025-03-03T09:00:00+08:00"):
        history.move(moment)
        used = {(one["tag"], one["source"]): one["used"] for one in packages(history)}
        shown = by_tag(history, from_=DAYS[0], to=DAYS[2])
        assert used == {
            (TAG, "gift"): shown[TAG][0],
            ("enhanced_uploaded_wechat", "purchase"): shown["enhanced_uploaded_wechat"][1],
        }


def test_a_purchase_changes_the_day_at_once(metered: Product) -> None:
    """What was postpaid in the morning is paid once the package is there, and again postpaid after its refund."""
    use(metered, 10, NOW)
    assert by_day(metered) == {DAYS[2]: (0, 0, 10, 0)}
    metered.now = at("2025-03-01T14:30:00+08:00")
    (package_id,) = buy(metered)
    assert by_day(metered) == {DAYS[2]: (0, 10, 0, 0)}
    assert give_back(metered, package_id).code == "package_used"


def test_late_usage_is_split_by_its_own_day(metered: Product) -> None:
    """Billed calls stay as they were billed; late ones take what is left now of their own day's packages (D4)."""
    give(metered, 10)
    use(metered, 4, NOW)
    metered.move("2025-03-02T09:00:00+08:00")
    buy(metered)
    use(metered, 4, "2025-03-02T08:59:00+08:00")
    use(metered, 5, "2025-03-01T12:00:00+08:00", "late")
    expected = {"2025-03-01": (9, 0, 0, 0), "2025-03-02": (1, 3, 0, 0)}
    assert by_day(metered) == expected
    use(metered, 3, "2025-03-01T13:00:00+08:00", "later")
    expected = {"2025-03-01": (10, 0, 2, 0), "2025-03-02": (0, 4, 0, 0)}
    for moment in ("2025-03-02T09:00:00+08:00", "2025-03-03T09:00:00+08:00", "2025-03-05T09:00:00+08:00"):
        metered.move(moment)
        assert by_day(metered) == expected


def test_a_stop_is_charged_postpaid(metered: Product) -> None:
    """Inside a violation stop calls are postpaid though packages are left (D22)."""
    buy(metered)
    metered.now = at("2025-03-01T11:00:00+08:00")
    metered.request("PUT", f"{A}/violation", {"active": True, "reason": "x"})
    metered.now = at("2025-03-01T12:00:00+08:00")
    use(metered, 5, "2025-03-01T10:59:59.999+08:00")
    use(metered, 7, "2025-03-01T11:00:00+08:00")
    for by in ("day", "tag"):
        (row,) = usage(metered, by=by)
        assert parts(row) == (0, 5, 7, 0)


def test_sums_on_a_cut_day_are_those_of_the_other_dimensions(history: Product) -> None:
    """The calls of a day with a switch are the same by day, tag, interface, sub-account and result code."""
    totals = {
        by: sum(row["calls"] for row in usage(history, by=by, from_=DAYS[2], to=DAYS[2]))
        for by in ("day", "tag", "interface", "sub_account", "result_code")
    }
    assert set(totals.values()) == {16}


def test_calls_that_the_stream_has_not_brought_are_not_shown_twice(metered: Product) -> None:
    """Before and after the stream and the run the parts add up to the calls, on whole and on cut days."""
    give(metered, 10)
    metered.now = at("2025-03-01T11:00:00+08:00")
    postpaid(metered, on=False)
    metered.now = at("2025-03-01T11:30:00+08:00")
    for number, time in enumerate(["10:00:00", "11:30:00", "10:30:00"]):
        post_usage(metered, events("acct-1", 6, f"2025-03-01T{time}+08:00", f"b{number}"))
        for row in usage(metered, by="day"):
            parts(row)
        metered.stream()
    assert by_day(metered) == {DAYS[2]: (10, 0, 2, 6)}


def test_pages_of_the_split(history: Product) -> None:
    """Pages hold every row once, with its parts."""
    found = pages(history, f"{A}/usage", 2, by="day")
    assert [len(page) for page in found] == [2, 1]
    assert [parts(row) for page in found for row in page] == list(by_day(history).values())


def test_a_month_of_a_monthly_account(product: Product) -> None:
    """Open days of a month are covered oldest first, before and after the run of the 1st."""
    product.now = at("2025-02-27T09:00:00+08:00")
    product.open_account("acct-1", cash="1000.00", opened_at="2022-06-01T00:00:00+08:00")
    a_history(product)
    shown = by_day(product), by_tag(product)
    assert shown[0] == {DAYS[0]: (60, 700, 0, 0), DAYS[1]: (40, 300, 220, 0), DAYS[2]: (0, 0, 7, 9)}
    for moment in ("2025-03-02T09:00:00+08:00", "2025-04-01T09:00:00+08:00"):
        product.move(moment)
        span = {"from_": DAYS[0], "to": DAYS[2]}
        assert (by_day(product, **span), by_tag(product, **span)) == shown


PATHS = (
    "/packages",
    "/packages/{gift}/usage",
    "/packages/{bought}/refund-quote",
    "/usage?by=day",
    "/usage?by=tag",
    f"/entitlements/{TAG}",
    "/bills/preview",
)


@pytest.mark.parametrize("path", PATHS)
def test_reading_while_a_run_settles(history: Product, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Whenever a run comes in between, a read answers what held before it or after it, and nothing half."""
    ids = {"gift" if one["source"] == "gift" else "bought": one["package_id"] for one in packages(history)}
    history.now = at("2025-03-02T07:59:59+08:00")
    postpaid(history, on=True)
    use(history, 2, "2025-02-28T20:00:00+08:00")
    url, _, query = f"{A}{path.format(**ids)}".partition("?")
    history.now = at("2025-03-02T08:00:00+08:00")
    stored = everything(history)

    def read() -> Any:
        reply = history.request("GET", url, query=dict([query.split("=")]) if query else None)
        assert reply.status == 200, reply.text
        return {name: value for name, value in reply.body.items() if name != "as_of"}

    before = read()
    history.run()
    allowed = [before, read()]
    interrupted = Interrupted(monkeypatch)
    interrupted.what = history.run
    for number in range(100):
        put_back(history, stored)
        interrupted.start(number)
        assert read() in allowed, number
        if interrupted.calls <= number:
            break
    assert number > 1
