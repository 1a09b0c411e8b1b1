"""Which package gives what: the guide's examples, order, ends, stops, switches, late usage (D4, D9 to D14, D19)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.adapters.prepaid import (
    MONTHLY_OPENED,
    OPENED,
    TAG,
    books_agree,
    buy,
    entitlement,
    give,
    give_back,
    left,
    package_days,
    packages,
    postpaid,
    split,
    use,
)
from tests.adapters.steps import NOW, A, at, balance, details, empty, resources, rows, total
from tests.support.product import Product

DAY, NEXT = "2025-03-01", "2025-03-02"
WECHAT: dict[str, Any] = {"interface": "enhanced.wechat_mini_program", "library": "authority"}
CARD: dict[str, Any] = {"interface": "api.bank_card_2e"}


def run(product: Product, to: str = "2025-03-02T08:00:00+08:00") -> dict[str, int]:
    """Let the runs up to an instant settle; what is left, which is what the view showed before."""
    before = left(product)
    product.move(to)
    assert left(product) == before
    return before


def usage_cost(product: Product, month: str = "2025-03") -> Decimal | int:
    """What usage has cost in a month."""
    return total(resources(product, month, mode="postpaid"), "total_cost")


def violate(product: Product, *, active: bool) -> None:
    """Stop the account for a violation, or lift that."""
    assert product.request("PUT", f"{A}/violation", {"active": active, "reason": "x"}).status == 200


# --- the guide ----------------------------------------------------------------------------------------------


def test_the_guides_second_example(product: Product) -> None:
    """15,000 calls with one package of 10,000 at 1.2 cost 17,000 yuan, once the free calls are used up."""
    product.open_account("acct-1", cash="20000.00")
    product.move("2025-03-01T10:30:00+08:00")
    use(product, 100, "2025-03-01T10:15:00+08:00", **WECHAT)
    product.move("2025-03-02T10:00:00+08:00")
    assert balance(product)["cash"] == "20000.00"
    (package_id,) = buy(product, "enhanced_authority_wechat:10000")
    for number in range(15):
        use(product, 1000, f"2025-03-02T09:{number:02d}:00+08:00", **WECHAT)
    assert split(product, NEXT) == (0, 10_000, 5_000, 0)
    assert product.get(f"{A}/bills/preview").body["total_cost"] == "6000.00"
    run(product, "2025-03-03T08:00:00+08:00")
    assert total(resources(product), "total_cost") == Decimal("17000.00")
    assert balance(product)["cash"] == "3000.00"
    assert package_days(product, package_id) == {NEXT: 10_000}
    books_agree(product, ["2025-03"])


def test_a_purchase_at_half_past_two_serves_from_midnight(product: Product) -> None:
    """Bought on 14 February 2021 at 14:30, it takes that day's calls from 00:00 on and none of the day before."""
    product.now = at("2021-02-14T14:30:00+08:00")
    product.open_account("acct-1", cash="1000.00", opened_at="2021-01-01T00:00:00+08:00")
    use(product, 5, "2021-02-13T23:59:59.999+08:00")
    use(product, 7, "2021-02-14T00:00:00+08:00")
    use(product, 11, "2021-02-14T14:29:59+08:00")
    (package_id,) = buy(product)
    use(product, 13, "2021-02-14T14:30:01+08:00")
    assert split(product, "2021-02-13") == (0, 0, 5, 0)
    assert split(product, "2021-02-14") == (0, 31, 0, 0)
    assert left(product) == {package_id: 969}
    run(product, "2021-03-01T08:00:00+08:00")
    assert usage_cost(product, "2021-02") == Decimal("1.50")


def test_a_purchase_does_not_reach_into_yesterday(metered: Product) -> None:
    """Bought before the run of 08:00, it leaves yesterday's unsettled usage to postpaid (D10)."""
    use(metered, 10, NOW)
    metered.now = at("2025-03-02T07:00:00+08:00")
    (package_id,) = buy(metered)
    assert left(metered) == {package_id: 1000}
    metered.move("2025-03-02T08:00:00+08:00")
    assert (left(metered), usage_cost(metered)) == ({package_id: 1000}, 3)


# --- the order of use ---------------------------------------------------------------------------------------


def used_up(product: Product, order: list[str], totals: list[int], start: str) -> None:
    """Use the packages up piece by piece: nobody gives before those in front are empty."""
    done = 0
    for number, (package_id, calls) in enumerate(zip(order, totals, strict=True)):
        for part in (1, calls - 1):
            moment = at(start) + timedelta(seconds=20 * number + 10 * (part > 1))
            use(product, part, moment.isoformat(), f"{number}-{part}")
            done += part
            found = left(product)
            expected = [max(0, sum(totals[: place + 1]) - done) for place in range(len(totals))]
            expected = [min(calls_, expected_) for calls_, expected_ in zip(totals, expected, strict=True)]
            assert [found[one] for one in order] == expected, package_id


def test_free_then_soonest_end_then_earliest_delivery_then_id(metered: Product) -> None:
    """Gifts go first though they end last; then ends, deliveries and ids decide (D9)."""
    product = metered
    product.top_up("acct-1", "5000.00")
    product.now = at("2025-03-01T10:00:00+08:00")
    early = buy(product)
    product.now = at("2025-03-02T09:00:00+08:00")
    later_that_day = buy(product, quantity=2)
    product.now = at("2025-03-02T09:00:01+08:00")
    second_later = buy(product)
    product.now = at("2025-03-03T10:00:00+08:00")
    gift = give(product, 50)
    product.now = at("2025-03-03T10:00:01+08:00")
    other_gift = give(product, 30)
    product.now = at("2025-03-03T11:00:00+08:00")
    order = [gift, other_gift, *early, *sorted(later_that_day), *second_later]
    used_up(product, order, [50, 30, 1000, 1000, 1000, 1000], "2025-03-03T08:00:00+08:00")
    run(product, "2025-03-04T08:00:00+08:00")
    assert split(product, "2025-03-03") == (80, 4000, 0, 0)
    assert usage_cost(product) == 0


def test_the_same_end_goes_by_the_earlier_delivery(product: Product) -> None:
    """Packages of 28 and 29 February 2024 end together: the first delivered is used first (D9, D11)."""
    product.now = at("2024-02-28T10:00:00+08:00")
    product.open_account("acct-1", cash="1000.00", opened_at="2023-06-01T00:00:00+08:00")
    (first,) = buy(product)
    product.now = at("2024-02-29T09:00:00+08:00")
    (second,) = buy(product)
    assert len({package["expires_at"] for package in packages(product)}) == 1
    use(product, 999, "2024-02-29T08:00:00+08:00")
    assert left(product) == {first: 1, second: 1000}


def test_a_package_serves_its_own_tag_alone(metered: Product) -> None:
    """Other tags' calls are charged, however much is left (D9)."""
    (package_id,) = buy(metered)
    use(metered, 10, NOW, **WECHAT)
    run(metered)
    assert (left(metered), usage_cost(metered)) == ({package_id: 1000}, 12)


def test_several_packages_share_one_day(metered: Product) -> None:
    """A day of 2,345 calls empties a gift and two packages and is charged for the rest, to the call."""
    gift = give(metered, 45)
    first, second = sorted(buy(metered, quantity=2))
    use(metered, 2345, NOW)
    assert split(metered, DAY) == (45, 2000, 300, 0)
    run(metered)
    assert left(metered) == {gift: 0, first: 0, second: 0}
    assert usage_cost(metered) == 90
    (line,) = details(metered, mode="postpaid")
    assert (line["raw_quantity"], line["deducted_quantity"], line["quantity"]) == (2345, 2045, 300)


# --- ends ---------------------------------------------------------------------------------------------------


def ending_gift(product: Product) -> str:
    """A gift of 100 calls, and the clock at noon of its last day: it ends at 11:00:37."""
    product.now = at("2025-03-01T11:00:37+08:00")
    gift = give(product, 100)
    product.now = at("2026-03-01T12:00:00+08:00")
    return gift


def test_a_gift_splits_its_last_day_at_its_second(metered: Product) -> None:
    """Calls up to 11:00:37 are free, that second included; those from 11:00:38 on are charged (D11)."""
    gift = ending_gift(metered)
    use(metered, 3, "2026-03-01T00:00:00+08:00")
    use(metered, 5, "2026-03-01T11:00:37.999+08:00")
    use(metered, 7, "2026-03-01T11:00:38+08:00")
    assert split(metered, "2026-03-01") == (8, 0, 7, 0)
    assert left(metered) == {gift: 92}
    metered.move("2026-03-02T08:00:00+08:00")
    assert (split(metered, "2026-03-01"), left(metered)) == ((8, 0, 7, 0), {gift: 92})
    assert usage_cost(metered, "2026-03") == Decimal("2.10")
    # What comes late is split at the same second (D4).
    use(metered, 2, "2026-03-01T11:00:37+08:00", "late")
    use(metered, 1, "2026-03-01T11:00:38+08:00", "later")
    assert split(metered, "2026-03-01") == (10, 0, 8, 0)
    metered.move("2026-03-03T08:00:00+08:00")
    assert (split(metered, "2026-03-01"), left(metered)) == ((10, 0, 8, 0), {gift: 90})
    assert usage_cost(metered, "2026-03") == Decimal("2.40")


def test_after_a_gift_has_ended_a_bought_package_goes_on(metered: Product) -> None:
    """In the morning the gift gives, in the afternoon the package, also in the morning what the gift lacks."""
    gift = ending_gift(metered)
    (package_id,) = buy(metered)
    use(metered, 120, "2026-03-01T10:00:00+08:00")
    use(metered, 50, "2026-03-01T11:30:00+08:00")
    assert split(metered, "2026-03-01") == (100, 70, 0, 0)
    run(metered, "2026-03-02T08:00:00+08:00")
    assert left(metered) == {gift: 0, package_id: 930}


# --- late usage ---------------------------------------------------------------------------------------------


def test_late_usage_takes_what_is_left_now_of_its_own_days_packages(metered: Product) -> None:
    """Yesterday's packages give what today has left of them; today's purchase gives nothing to yesterday (D4)."""
    gift = give(metered, 100)
    use(metered, 40, NOW)
    metered.move("2025-03-02T09:00:00+08:00")
    use(metered, 55, "2025-03-02T08:30:00+08:00")
    (package_id,) = buy(metered)
    use(metered, 12, "2025-03-01T20:00:00+08:00", "late")
    # The older day goes first: it takes the gift's calls that today would have had.
    assert split(metered, DAY) == (52, 0, 0, 0)
    assert split(metered, NEXT) == (48, 7, 0, 0)
    run(metered, "2025-03-03T08:00:00+08:00")
    assert left(metered) == {gift: 0, package_id: 993}
    use(metered, 4, "2025-03-01T21:00:00+08:00", "later")
    assert split(metered, DAY) == (52, 0, 4, 0)
    run(metered, "2025-03-04T08:00:00+08:00")
    assert usage_cost(metered) == Decimal("1.20")
    books_agree(metered, ["2025-03"])


def test_late_usage_of_a_packages_last_day_still_takes_it(product: Product) -> None:
    """What was valid on the day gives what it has left, though it has ended since (D4)."""
    product.now = at("2024-03-05T10:00:00+08:00")
    product.open_account("acct-1", cash="1000.00", opened_at="2023-06-01T00:00:00+08:00")
    (package_id,) = buy(product)
    product.now = at("2025-03-20T10:00:00+08:00")
    use(product, 9, "2025-03-05T23:59:59+08:00")
    use(product, 9, "2025-03-06T00:00:00+08:00")
    assert left(product) == {package_id: 991}
    run(product, "2025-03-21T08:00:00+08:00")
    assert usage_cost(product) == Decimal("2.70")


def test_late_usage_is_on_lines_of_its_own(metered: Product) -> None:
    """The first lines stay as they were issued; the new ones name the day, the packages' part and the rest (D4)."""
    give(metered, 10)
    use(metered, 8, NOW)
    metered.move("2025-03-02T08:00:00+08:00")
    issued = details(metered)
    use(metered, 5, "2025-03-01T12:00:00+08:00", "late")
    metered.move("2025-03-03T08:00:00+08:00")
    assert details(metered)[:1] == issued
    shown = [
        (line["usage_day"], line["raw_quantity"], line["deducted_quantity"], line["quantity"], line["total_cost"])
        for line in details(metered)
    ]
    assert shown == [(DAY, 8, 8, 0, "0.00000000"), (DAY, 5, 2, 3, "0.90000000")]


# --- postpaid off -------------------------------------------------------------------------------------------


def test_overflow_without_postpaid_is_never_charged(metered: Product) -> None:
    """What packages do not cover is uncovered: shown, not charged, and not taken from what is given later (D14)."""
    gift = give(metered, 10)
    postpaid(metered, on=False)
    metered.now = at("2025-03-01T12:00:00+08:00")
    use(metered, 15, "2025-03-01T11:00:00+08:00")
    assert entitlement(metered)["reason"] == "packages_exhausted"
    assert split(metered, DAY) == (10, 0, 0, 5)
    run(metered)
    assert (left(metered), balance(metered)["cash"]) == ({gift: 0}, "1000.00")
    (line,) = details(metered)
    assert (line["raw_quantity"], line["deducted_quantity"], line["quantity"], line["total_cost"]) == (
        15,
        10,
        0,
        "0.00000000",
    )
    postpaid(metered, on=True)
    metered.move("2025-03-03T08:00:00+08:00")
    assert (split(metered, DAY), balance(metered)["cash"]) == ((10, 0, 0, 5), "1000.00")


def test_switched_off_at_23_59_the_day_is_not_free(metered: Product) -> None:
    """Usage is judged by the switch at its own second, whenever it is settled (D5)."""
    give(metered, 10)
    use(metered, 30, NOW)
    metered.now = at("2025-03-01T23:59:00+08:00")
    postpaid(metered, on=False)
    use(metered, 2, "2025-03-01T23:58:59.999+08:00")
    use(metered, 3, "2025-03-01T23:59:00+08:00")
    assert split(metered, DAY) == (10, 0, 22, 3)
    run(metered)
    assert split(metered, DAY) == (10, 0, 22, 3)
    assert usage_cost(metered) == Decimal("6.60")


def test_while_postpaid_is_off_packages_still_give(metered: Product) -> None:
    """In each stretch of the day the packages give first, in the order of time (D14)."""
    gift = give(metered, 10)
    metered.now = at("2025-03-01T12:00:00+08:00")
    postpaid(metered, on=False)
    metered.now = at("2025-03-01T13:00:00+08:00")
    postpaid(metered, on=True)
    metered.now = at("2025-03-01T14:00:00+08:00")
    use(metered, 20, "2025-03-01T13:30:00+08:00")
    use(metered, 8, "2025-03-01T12:30:00+08:00")
    assert split(metered, DAY) == (10, 0, 18, 0)
    use(metered, 6, "2025-03-01T11:30:00+08:00")
    assert split(metered, DAY) == (10, 0, 20, 4)
    run(metered)
    assert (split(metered, DAY), left(metered)) == ((10, 0, 20, 4), {gift: 0})


# --- stops --------------------------------------------------------------------------------------------------


def test_a_violation_pauses_packages_to_the_second(metered: Product) -> None:
    """Inside [start, end) nothing is deducted and calls are charged; before and after the package gives (D22)."""
    (package_id,) = buy(metered)
    metered.now = at("2025-03-01T11:00:00+08:00")
    violate(metered, active=True)
    metered.now = at("2025-03-01T12:00:00+08:00")
    violate(metered, active=False)
    for number, time in enumerate(["10:59:59.999", "11:00:00", "11:59:59.999", "12:00:00"], start=1):
        use(metered, 10**number // 10, f"2025-03-01T{time}+08:00")
    assert split(metered, DAY) == (0, 1000, 111, 0)
    assert left(metered) == {package_id: 0}
    run(metered)
    assert split(metered, DAY) == (0, 1000, 111, 0)


def test_arrears_pause_packages_after_24_hours(metered: Product) -> None:
    """From 24 hours after the charge until the payment packages rest, computed to the second (D21, D22)."""
    (package_id,) = buy(metered)
    use(metered, 1800, NOW, interface="api.phone_2e")
    metered.move("2025-03-03T10:00:00+08:00")
    assert metered.get(A).body["status"] == "stopped"
    for number, time in [(1, "07:59:59.999"), (10, "08:00:00"), (100, "09:59:59")]:
        use(metered, number, f"2025-03-03T{time}+08:00")
    metered.top_up("acct-1", "500.00")
    assert metered.get(A).body["status"] == "active"
    metered.now = at("2025-03-03T10:30:00+08:00")
    use(metered, 500, "2025-03-03T10:00:00+08:00")
    assert split(metered, "2025-03-03", tag=TAG) == (0, 501, 110, 0)
    assert left(metered) == {package_id: 499}
    run(metered, "2025-03-04T08:00:00+08:00")
    assert split(metered, "2025-03-03", tag=TAG) == (0, 501, 110, 0)
    books_agree(metered, ["2025-03"])


def test_a_stop_does_not_make_packages_last_longer(metered: Product) -> None:
    """Validity keeps running: a gift whose last days fall into a stop is over afterwards (D22)."""
    gift = ending_gift(metered)
    metered.now = at("2026-02-28T00:00:00+08:00")
    violate(metered, active=True)
    metered.now = at("2026-03-01T12:00:00+08:00")
    violate(metered, active=False)
    use(metered, 5, "2026-03-01T11:00:00+08:00")
    use(metered, 5, "2026-03-01T12:00:00+08:00")
    assert split(metered, "2026-03-01") == (0, 0, 10, 0)
    assert left(metered) == {gift: 100}


def test_stops_that_overlap(metered: Product) -> None:
    """Paying while a violation lasts resumes nothing; packages rest from the first stop to the last's end (D22)."""
    buy(metered)
    use(metered, 1800, NOW, interface="api.phone_2e")
    metered.move("2025-03-03T09:00:00+08:00")
    violate(metered, active=True)
    metered.top_up("acct-1", "500.00")
    assert (metered.get(A).body["status"], entitlement(metered)["reason"]) == ("stopped", "violation")
    metered.now = at("2025-03-03T10:00:00+08:00")
    violate(metered, active=False)
    for number, time in [(1, "07:59:59"), (10, "08:30:00"), (100, "09:30:00"), (500, "10:00:00")]:
        use(metered, number, f"2025-03-03T{time}+08:00")
    assert split(metered, "2025-03-03") == (0, 501, 110, 0)
    run(metered, "2025-03-04T08:00:00+08:00")
    assert split(metered, "2025-03-03") == (0, 501, 110, 0)


def test_a_release_cuts_at_its_second(metered: Product) -> None:
    """Late usage from before the stop takes what its day's package has left; after the release none does (D4, D23)."""
    (package_id,) = buy(metered)
    use(metered, 4000, NOW, interface="api.phone_2e")
    metered.move("2025-04-02T09:00:00+08:00")
    use(metered, 5, "2025-03-03T07:59:59+08:00")
    metered.top_up("acct-1", "2000.00")
    metered.now = at("2025-04-02T10:00:00+08:00")
    use(metered, 7, "2025-04-02T09:30:00+08:00")
    assert (split(metered, "2025-03-03"), split(metered, "2025-04-02")) == ((0, 5, 0, 0), (0, 0, 7, 0))
    run(metered, "2025-04-03T08:00:00+08:00")
    assert left(metered) == {package_id: 995}
    assert usage_cost(metered, "2025-04") == Decimal("2.10")


def test_days_that_wait_for_their_run(metered: Product) -> None:
    """Where runs did not come for days, a package still leaves alone the days before its delivery (D4, D10)."""
    for day in (1, 2, 3):
        metered.now = at(f"2025-03-0{day}T14:30:00+08:00")
        use(metered, 400, f"2025-03-0{day}T10:00:00+08:00")
        if day == 2:
            (package_id,) = buy(metered)
    assert [split(metered, f"2025-03-0{day}") for day in (1, 2, 3)] == [(0, 0, 400, 0), (0, 400, 0, 0), (0, 400, 0, 0)]
    run(metered, "2025-03-04T08:00:00+08:00")
    assert package_days(metered, package_id) == {"2025-03-02": 400, "2025-03-03": 400}
    assert usage_cost(metered) == 120


# --- monthly accounts ---------------------------------------------------------------------------------------


def monthly(product: Product) -> None:
    """An account that is settled by the month."""
    product.open_account("acct-1", cash="5000.00", opened_at=MONTHLY_OPENED)


@pytest.mark.parametrize(
    "calls, price",
    [(1000, None), (1001, "0.40"), (1999, "0.40"), (2000, "0.38"), (10_999, "0.38"), (11_000, "0.36")],
)
def test_what_packages_leave_of_the_month_picks_the_tier(product: Product, calls: int, price: str | None) -> None:
    """1,000 calls of 银行卡信息核验 are the package's; the rest of the whole month is at the step it reaches (D19)."""
    monthly(product)
    (package_id,) = buy(product, "bank_card_check:1000")
    for number, part in enumerate([calls // 2, calls - calls // 2]):
        product.move(f"2025-03-{10 + number}T12:00:00+08:00")
        use(product, part, f"2025-03-{10 + number}T11:00:00+08:00", **CARD)
    product.move("2025-04-01T08:00:00+08:00")
    (line,) = details(product, mode="postpaid", transaction_type="postpay_monthly")
    quantities = (line["raw_quantity"], line["deducted_quantity"], line["quantity"])
    assert quantities == (calls, 1000, calls - 1000)
    if price is not None:
        assert Decimal(line["unit_price"]) == Decimal(price)
    assert usage_cost(product) == (calls - 1000) * Decimal(price or 0)
    assert sum(package_days(product, package_id).values()) == 1000


def test_packages_of_a_month_are_deducted_day_by_day(product: Product) -> None:
    """A package of the 10th leaves the days before it alone, though the whole month is settled at once (D10, D19)."""
    monthly(product)
    for day in (5, 10, 15):
        product.move(f"2025-03-{day:02d}T12:00:00+08:00")
        use(product, 600, f"2025-03-{day:02d}T11:00:00+08:00", **CARD)
        if day == 10:
            (package_id,) = buy(product, "bank_card_check:1000")
    assert [split(product, f"2025-03-{day:02d}") for day in (5, 10, 15)] == [
        (0, 0, 600, 0),
        (0, 600, 0, 0),
        (0, 400, 200, 0),
    ]
    run(product, "2025-04-01T08:00:00+08:00")
    assert package_days(product, package_id) == {"2025-03-10": 600, "2025-03-15": 400}
    # 800 calls are left: the first step.
    assert usage_cost(product) == 320
    books_agree(product, ["2025-03", "2025-04"])


def test_late_usage_of_a_closed_month_takes_its_own_days_packages(product: Product) -> None:
    """It takes what its day's packages have left, and the rest prices the month again (D4, D19)."""
    monthly(product)
    (package_id,) = buy(product, "bank_card_check:1000")
    product.move("2025-03-31T12:00:00+08:00")
    use(product, 1998, "2025-03-31T11:00:00+08:00", **CARD)
    product.move("2025-04-02T12:00:00+08:00")
    assert usage_cost(product) == Decimal("399.20")
    use(product, 2, "2025-03-31T12:00:00+08:00", **CARD)
    product.move("2025-05-01T08:00:00+08:00")
    # 1,000 calls at 0.38 instead of 998 at 0.40.
    assert usage_cost(product) == Decimal("380.00")
    assert package_days(product, package_id) == {"2025-03-31": 1000}
    books_agree(product, ["2025-03", "2025-04", "2025-05"])


# --- prices by the usage's own day --------------------------------------------------------------------------


def put(product: Product, path: str, body: dict[str, Any]) -> None:
    """Set prices or terms as the operator."""
    reply = product.request("PUT", path, body)
    assert reply.status == 200, reply.text


def test_a_new_price_holds_for_usage_from_its_day_on(metered: Product) -> None:
    """Usage is priced by its own day: settled after the change, and arriving after it (D20)."""
    put(metered, f"/v1/prices/{TAG}", {"unit_price": "0.50", "from": NEXT})
    use(metered, 10, NOW)
    metered.move("2025-03-02T09:00:00+08:00")
    use(metered, 10, "2025-03-02T08:30:00+08:00")
    use(metered, 10, "2025-03-01T20:00:00+08:00", "late")
    metered.move("2025-03-03T09:00:00+08:00")
    shown = [(line["usage_day"], line["unit_price"], line["total_cost"]) for line in details(metered)]
    assert shown == [
        (DAY, "0.30", "3.00000000"),
        (DAY, "0.30", "3.00000000"),
        (NEXT, "0.50", "5.00000000"),
    ]
    books_agree(metered, ["2025-03"])


def test_discounts_and_contract_prices_hold_by_the_usages_day(metered: Product) -> None:
    """The rate of the day reduces what packages leave; a contract price replaces list price and rate (D18)."""
    give(metered, 5)
    put(metered, f"{A}/discounts/{TAG}", {"rate": "0.5", "from": NEXT, "until": "2025-03-04"})
    put(metered, f"{A}/contract-prices/{TAG}", {"unit_price": "0.07", "from": "2025-03-03", "until": "2025-03-05"})
    for day in range(1, 6):
        metered.move(f"2025-03-0{day}T10:00:00+08:00")
        use(metered, 10, f"2025-03-0{day}T09:00:00+08:00")
    metered.move("2025-03-06T09:00:00+08:00")
    shown = [
        (line["usage_day"][-2:], line["quantity"], line["list_price"], line["discount_rate"], line["total_cost"])
        for line in details(metered)
    ]
    assert shown == [
        ("01", 5, "0.30", "1", "1.50000000"),
        ("02", 10, "0.30", "0.5", "1.50000000"),
        ("03", 10, None, None, "0.70000000"),
        ("04", 10, None, None, "0.70000000"),
        ("05", 10, "0.30", "1", "3.00000000"),
    ]
    books_agree(metered, ["2025-03"])


def test_a_price_change_within_a_month_makes_two_lines(product: Product) -> None:
    """One line per price period, each with what packages left of its own days, both at the month's step (D19)."""
    monthly(product)
    tiers = [{"from_calls": 0, "unit_price": "0.50"}, {"from_calls": 1000, "unit_price": "0.45"}]
    put(product, "/v1/prices/bank_card_check", {"price_list": "monthly", "tiers": tiers, "from": "2025-03-11"})
    buy(product, "bank_card_check:1000")
    for day in (10, 11):
        product.move(f"2025-03-{day}T12:00:00+08:00")
        use(product, 1500, f"2025-03-{day}T11:00:00+08:00", **CARD)
    product.move("2025-04-01T08:00:00+08:00")
    shown = [
        (line["raw_quantity"], line["deducted_quantity"], line["quantity"], line["unit_price"], line["usage_end"][:10])
        for line in details(product, transaction_type="postpay_monthly")
    ]
    assert shown == [
        (1500, 1000, 500, "0.38", "2025-03-10"),
        (1500, 0, 1500, "0.45", "2025-03-31"),
    ]
    assert usage_cost(product) == 190 + 675


# --- a small independent model ------------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("use"), st.integers(1, 120), st.integers(0, 23)),
    st.tuples(st.just("late"), st.integers(1, 60), st.integers(0, 23)),
    st.tuples(st.just("give"), st.integers(1, 150), st.just(0)),
    st.tuples(st.just("buy"), st.integers(1, 2), st.just(0)),
    st.tuples(st.just("back"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("switch"), st.just(0), st.just(0)),
    st.tuples(st.just("stop"), st.just(0), st.just(0)),
    st.tuples(st.just("night"), st.just(0), st.just(0)),
)
START = at("2025-03-01T00:00:00+08:00")


def second_of(product: Product) -> int:
    """Seconds since the history began."""
    return int((product.now - START).total_seconds())


class Model:
    """Packages as lists of calls, a day as a list of stretches: what should be left, and how calls are covered."""

    def __init__(self) -> None:
        self.free: list[list[Any]] = []
        self.paid: list[list[Any]] = []
        self.refunded: list[str] = []
        self.open: dict[int, list[tuple[int, int]]] = {}
        self.switches: list[int] = []
        self.stops: list[int] = []
        self.covered: dict[int, list[int]] = {}

    def cover(self, *, before: int | None = None) -> tuple[dict[int, list[int]], dict[str, int]]:
        """(free, paid, postpaid, uncovered) by day, and what is left by package; the days ``before`` one for good."""
        remaining = {one[0]: one[2] for one in (*self.free, *self.paid)}
        covered = {day: list(parts) for day, parts in self.covered.items()}
        for day in sorted(one for one in self.open if before is None or one < before):
            # Calls of one stretch of time are covered together, stretches one after the other.
            for second, calls in sorted(self.open[day], key=self._stretch):
                parts = covered.setdefault(day, [0, 0, 0, 0])
                rest = calls
                for place, stock in ((0, self.free), (1, self.paid)):
                    for name, delivered, _ in stock:
                        serves = delivered <= day and not flipped(self.stops, second)
                        take = min(rest, remaining[name]) if serves else 0
                        remaining[name] -= take
                        parts[place] += take
                        rest -= take
                parts[3 if flipped(self.switches, second) else 2] += rest
        if before is not None:
            self.covered = covered
            self.open = {day: parts for day, parts in self.open.items() if day >= before}
            for one in (*self.free, *self.paid):
                one[2] = remaining[one[0]]
        return covered, remaining

    def _stretch(self, part: tuple[int, int]) -> int:
        return sum(flip <= part[0] for flip in (*self.switches, *self.stops))


def flipped(flips: Sequence[int], second: int) -> bool:
    """Whether a switch stands otherwise than at the beginning."""
    return sum(flip <= second for flip in flips) % 2 == 1


class History:
    """Does the same to the product and to the model, and compares them."""

    def __init__(self, product: Product, opened_at: str) -> None:
        empty(product)
        product.open_account("acct-1", cash="100000.00", opened_at=opened_at)
        self.product, self.model, self.day = product, Model(), 0
        self.monthly = opened_at == MONTHLY_OPENED

    def step(self, kind: str, number: int, hour: int, name: str) -> None:
        """One step; late usage of the day before the first is none."""
        product, model = self.product, self.model
        product.now += timedelta(minutes=7)
        match kind:
            case "use":
                self._meter(number, self.day, hour, name)
            case "late" if self.day:
                self._meter(number, self.day - 1, hour, name)
            case "give":
                model.free.append([give(product, number), self.day, number])
            case "buy":
                model.paid += [[one, self.day, 1000] for one in sorted(buy(product, quantity=number))]
            case "back" if model.paid:
                self._give_back(model.paid[number % len(model.paid)], name)
            case "switch":
                model.switches.append(second_of(product))
                postpaid(product, on=len(model.switches) % 2 == 0)
            case "stop":
                model.stops.append(second_of(product))
                violate(product, active=len(model.stops) % 2 == 1)
            case "night":
                self.day += 1
                self.settle(START + timedelta(days=self.day, hours=8), self.day)

    def settle(self, run_at: datetime, day: int) -> None:
        """What is left just before a run is left after it."""
        self.product.now = run_at - timedelta(seconds=1)
        before = left(self.product)
        self.product.move((run_at + timedelta(minutes=59)).isoformat())
        if not self.monthly or run_at.day == 1:
            self.model.cover(before=day)
        assert left(self.product) == before

    def compare(self) -> None:
        """Packages, days and entitlement are as the model says."""
        covered, remaining = self.model.cover()
        assert left(self.product) == remaining | dict.fromkeys(self.model.refunded, 0)
        shown = {
            row["day"]: [row["free"], row["paid"], row["postpaid"], row["uncovered"]]
            for row in rows(self.product, f"{A}/usage", from_=DAY, to="2025-04-02")
        }
        days = {(START + timedelta(days=one)).date().isoformat(): parts for one, parts in covered.items()}
        assert shown == days
        found = entitlement(self.product)
        assert (found["free_remaining"], found["paid_remaining"]) == (
            sum(remaining[one[0]] for one in self.model.free),
            sum(remaining[one[0]] for one in self.model.paid),
        )

    def _give_back(self, package: list[Any], name: str) -> None:
        """Refused in the order of D25, or taken out of the model."""
        package_id, delivered, _ = package
        reasons = {
            "account_in_violation": flipped(self.model.stops, second_of(self.product)),
            "refund_window_passed": self.day > delivered + 7,
            "package_used": self.model.cover()[1][package_id] < 1000,
        }
        reply = give_back(self.product, package_id, name)
        expected = next((reason for reason, holds in reasons.items() if holds), None)
        assert reply.body.get("code") == expected
        if expected is None:
            self.model.paid.remove(package)
            self.model.refunded.append(package_id)

    def _meter(self, number: int, day: int, hour: int, name: str) -> None:
        second = min(day * 86_400 + hour * 3600, second_of(self.product))
        use(self.product, number, (START + timedelta(seconds=second)).isoformat(), name)
        self.model.open.setdefault(day, []).append((second, number))


@pytest.mark.parametrize("opened_at", [OPENED, MONTHLY_OPENED])
@settings(max_examples=settings().max_examples // 15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=1, max_size=14))
def test_random_histories_agree_with_a_small_model(
    cloud: Product, opened_at: str, steps: list[tuple[str, int, int]]
) -> None:
    """Free + paid + postpaid + uncovered = counted, as the model says; what is left just before a run is left after."""
    history = History(cloud, opened_at)
    for place, (kind, number, hour) in enumerate([*steps, ("night", 0, 0), ("night", 0, 0)]):
        if kind == "buy" and flipped(history.model.stops, second_of(cloud)):
            kind = "stop"  # noqa: PLW2901 - a stopped account cannot order
        history.step(kind, number, hour, f"s{place}")
        history.compare()
    history.settle(START + timedelta(days=31, hours=8), 31)
    history.compare()
    charged = sum(parts[2] for parts in history.model.covered.values())
    lines = [line for line in details(cloud, mode="postpaid") if line["tag"]]
    assert sum(line["quantity"] for line in lines) == charged
    for package in packages(cloud):
        assert sum(package_days(cloud, package["package_id"]).values()) == package["used"]
    books_agree(cloud, ["2025-03", "2025-04"])
