"""Late usage of a monthly account through the whole product: which run takes it, and as what (D4, D14, D19)."""

from __future__ import annotations

from tests.support.product import CUSTOMER, Product, events, product

MOVED_HERE = "2022-01-01T00:00:00+08:00"
Charged = tuple[str, int, int, str]


def _charged(running: Product) -> list[Charged]:
    """Day of the charge, uncovered and charged calls, cost of each line of March."""
    items = running.get("/v1/accounts/m/bills/details", month="2025-03").body["items"]
    return [
        (item["charged_at"][:10], item["uncovered_quantity"], item["quantity"], item["total_cost"]) for item in items
    ]


def _switch_postpaid(running: Product, *, on: bool) -> None:
    body = {"postpaid_enabled": on}
    assert running.request("PATCH", "/v1/accounts/m", body, CUSTOMER, account_id="m").status == 200


def test_late_usage_of_a_closed_month_waits_for_the_1st() -> None:
    """Days that had usage and days that had none are charged in one line with the next run of the 1st (D4)."""
    with product("2025-03-10T10:00:00+08:00") as running:
        running.open_account("m", cash="1000.00", opened_at=MOVED_HERE)
        running.report(events("m", 4, "2025-03-10T09:00:00+08:00"))
        running.move("2025-04-04T10:00:00+08:00")
        running.report(events("m", 2, "2025-03-10T09:00:00+08:00", prefix="known-day"))
        running.report(events("m", 3, "2025-03-20T09:00:00+08:00", prefix="new-day"))
        running.move("2025-04-30T23:00:00+08:00")
        assert _charged(running) == [("2025-04-01", 0, 4, "1.20000000")]
        running.move("2025-05-01T08:00:00+08:00")
        assert _charged(running)[1:] == [("2025-05-01", 0, 5, "1.50000000")]


def test_a_day_that_comes_late_is_judged_by_its_own_switches() -> None:
    """Calls before the switch are charged though the day's first bill held calls after it alone (D5, D14)."""
    with product("2025-03-28T12:00:00+08:00") as running:
        running.open_account("m", cash="1000.00", opened_at=MOVED_HERE)
        running.report(events("m", 1, "2025-03-27T09:00:00+08:00"))
        running.move("2025-03-28T12:00:01+08:00")
        _switch_postpaid(running, on=False)
        running.move("2025-03-29T12:00:00+08:00")
        _switch_postpaid(running, on=True)
        running.move("2025-04-02T10:00:00+08:00")
        running.report(events("m", 3, "2025-03-28T13:00:00+08:00", prefix="after"))
        running.move("2025-05-01T07:57:00+08:00")
        assert len(_charged(running)) == 1
        running.move("2025-05-01T08:00:00+08:00")
        assert _charged(running)[1:] == [("2025-05-01", 3, 0, "0.00000000")]
        running.report(events("m", 2, "2025-03-28T11:00:00+08:00", prefix="before"))
        running.move("2025-06-01T08:00:00+08:00")
        assert _charged(running)[2:] == [("2025-06-01", 0, 2, "0.60000000")]
