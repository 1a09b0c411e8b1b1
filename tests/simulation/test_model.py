"""The model of the simulation, by itself: the guide's examples to the fen, and the decisions one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.simulation.life import CHECK, PHONE, Life, at
from tests.simulation.model.catalog import GUIDE, INTERFACES, MONTHLY, Meaning, meaning
from tests.simulation.model.money import shares
from tests.simulation.model.times import gift_end, next_run, purchase_end, run_of
from tests.simulation.steps import (
    Call,
    Merchant,
    Report,
    Run,
)
from tests.simulation.view import Answer

# --- the guide ---------------------------------------------------------------------------------------------------


def test_three_packages_cost_300_000_yuan() -> None:
    """The guide's first prepaid example."""
    life = Life()
    life.top_up("2025-01-01", "300000")
    life.buy("2025-01-01", ("enhanced_authority_wechat:100000", 3))
    assert life.cash() == "0.00"


def test_a_package_and_the_rest_cost_17_000_yuan() -> None:
    """The guide's second prepaid example: 15,000 calls, 10,000 of a package, once free calls are used up (D9)."""
    life = Life(moved="2024-01-01")
    life.top_up("2025-01-01", "17000")
    life.buy("2025-01-01", ("enhanced_authority_wechat:10000", 1))
    fields = (("library", "authority"),)
    calls = tuple(
        Call("a", "s", str(one), at("2025-01-01"), "enhanced.wechat_mini_program", "0", fields) for one in range(15_000)
    )
    life.model.apply(Report(at("2025-01-01"), calls, by_queue=True), [])
    life.run("2025-01-02")
    assert life.cash() == "0.00"


@pytest.mark.parametrize("interface, calls, cost", [(CHECK, 1000, "300.00"), (PHONE, 30_000, "12000.00")])
def test_a_day_of_the_guide(interface: str, calls: int, cost: str) -> None:
    """The guide's two examples of daily settlement."""
    life = Life()
    life.use("2025-01-01", calls, interface)
    life.run("2025-01-02")
    assert life.cash() == f"-{cost}"


def test_the_guides_purchase_reaches_back_to_midnight() -> None:
    """Bought on 14 February at 14:30, a package takes that day's calls from 00:00 on (D10)."""
    life = Life("2021-02-01")
    life.top_up("2021-02-01", "300")
    life.use("2021-02-13 23:59:59", 5)
    life.use("2021-02-14", 7)
    life.buy("2021-02-14 14:30:00", ("identity_check:1000", 1))
    assert life.split("2021-02-13", when="2021-02-15") == (0, 0, 5, 0)
    assert life.split("2021-02-14", when="2021-02-15") == (0, 7, 0, 0)


def test_the_guides_refund_window() -> None:
    """Bought on 1 October, it can be given back until the end of the 8th (D24)."""
    life = Life("2020-06-01")
    life.top_up("2020-06-01", "300")
    (package_id,) = life.buy("2020-10-01 15:20:10", ("identity_check:1000", 1))
    assert life.view("2020-10-08 23:59:59").packages[package_id].refund_blocked_by is None
    assert life.view("2020-10-09").packages[package_id].refund_blocked_by == "refund_window_passed"


def test_the_example_of_a_shared_voucher() -> None:
    """A voucher of 90 pays 30 and 60 of amounts of 100 and 200 (facts.md 3.5)."""
    parts = shares(
        [Decimal(100), Decimal(200)],
        {"voucher": Decimal(90), "gift": Decimal(0), "income_transfer": Decimal(0), "cash": Decimal(210)},
    )
    assert [part["voucher"] for part in parts] == [30, 60]


# --- the catalog -------------------------------------------------------------------------------------------------


def test_every_interface_leads_to_a_tag_with_a_price() -> None:
    """32 tags, each reached by an interface, five of them with steps (D6, D7, D19)."""
    reached = set()
    for name, interface in INTERFACES.items():
        for fields in [(("library", one),) for one in interface.libraries] or [(), ()][:1]:
            found = meaning(Call("a", "s", "e", at("2025-01-01"), name, "0", fields))
            assert isinstance(found, Meaning)
            reached.add(found.tag)
    reached |= {"phone_three_factor_detailed"}
    assert reached == set(GUIDE)
    assert (len(GUIDE), len(MONTHLY)) == (32, 5)


@pytest.mark.parametrize(
    "interface, fields, code, expected",
    [
        ("plus.app_sdk", {"library": "uploaded"}, "2007", ("plus_uploaded_app", True)),
        ("plus.wechat_float_h5", {"library": "authority"}, "1002", ("plus_authority_float_h5", True)),
        ("enhanced.wechat_mini_program", {"library": "authority"}, "1002", ("enhanced_authority_wechat", False)),
        ("api.liveness_compare", {}, "Success", ("basic_uploaded", True)),
        ("api.phone_3e", {}, "-4", ("phone_three_factor_simple", True)),
        ("api.phone_3e", {"mode": "detailed"}, "-6", ("phone_three_factor_detailed", False)),
        ("eid.mini_program", {"intention_verify": True}, "0", ("intention_authority", True)),
        ("eid.mini_program", {"intention_verify": False}, "0", ("eid_authority", True)),
        ("api.bank_card_3e", {}, "-4", ("bank_card_check", False)),
        ("api.bank_card_2e", {}, "-4", ("bank_card_check", True)),
        ("basic.pc_h5", {}, "0", "library_required"),
        ("api.phone_2e", {"library": "authority"}, "0", "invalid_event"),
        ("api.phone_2e", {"colour": "red"}, "0", "invalid_event"),
        ("api.phone_9e", {}, "0", "unknown_interface"),
    ],
)
def test_what_a_call_means(interface: str, fields: dict[str, Any], code: str, expected: object) -> None:
    """Tag and charge by interface, library, mode, intention and code (D6, D7)."""
    found = meaning(Call("a", "s", "e", at("2025-01-01"), interface, code, tuple(fields.items())))
    assert (found if isinstance(found, str) else (found.tag, found.charged)) == expected


# --- time --------------------------------------------------------------------------------------------------------


def test_ends_of_packages() -> None:
    """Bought: the end of the anniversary; given: to the second; of 29 February the 28th (D11)."""
    leap = at("2024-02-29 11:00:37")
    assert purchase_end(leap) == at("2025-02-28 23:59:59")
    assert gift_end(leap) == at("2025-02-28 11:00:37")
    assert gift_end(at("2020-06-28 11:00:37")) == at("2021-06-28 11:00:37")


def test_runs() -> None:
    """08:00 of the next day, or of the next 1st (D3)."""
    day = date(2025, 1, 31)
    assert run_of(day, monthly=False) == run_of(day, monthly=True) == at("2025-02-01 08:00:00")
    assert next_run(at("2025-02-01 07:59:59"), monthly=True) == at("2025-02-01 08:00:00")
    assert next_run(at("2025-02-01 08:00:00"), monthly=True) == at("2025-03-01 08:00:00")
    assert next_run(at("2025-02-01 08:00:00"), monthly=False) == at("2025-02-02 08:00:00")
    assert next_run(at("2025-02-02 07:00:00"), monthly=True) == at("2025-03-01 08:00:00")


@pytest.mark.parametrize("opened, cycle", [("2023-01-03 23:59:59", "monthly"), ("2023-01-04", "daily")])
def test_the_cycle(opened: str, cycle: str) -> None:
    """By the opening (D2)."""
    assert Life("2025-01-01", opened).view("2025-01-01").account["settlement_cycle"] == cycle


# --- metering ----------------------------------------------------------------------------------------------------


def reported(life: Life, when: str, calls: Sequence[Call], *errors: tuple[int, str], **counts: int) -> list[str]:
    """What the model says against a report with these counts and errors."""
    told = [{"index": index, "id": calls[index].event_id, "code": code} for index, code in errors]
    names = ("accepted", "duplicate", "conflict", "not_chargeable", "rejected")
    body = {name: counts.get(name, 0) for name in names} | {"errors": told}
    return life.do(Report(at(when), tuple(calls)), 200, **body)


def test_what_a_report_says() -> None:
    """Identity, windows of time and data decide; what is stored first stays (D4; contract, Metering)."""
    life, now = Life("2024-12-01 12:00:00"), "2025-01-10 12:00:00"

    def call(event_id: str, time: str = now, code: str = "0", account: str = "a", **fields: str) -> Call:
        return Call(account, "s", event_id, at(time), CHECK, code, tuple(fields.items()))

    calls = [
        call("1"),
        call("1"),
        call("1", code="-1"),
        call("2", code="-2"),
        call("3", "2024-12-06 12:00:00"),
        call("4", "2024-12-06 11:59:59"),
        call("5", "2025-01-10 12:05:00"),
        call("6", "2025-01-10 12:05:01"),
        call("7", account="b"),
        call("8", sub_account="team"),
    ]
    errors = ((2, "conflict"), (5, "time_too_old"), (7, "time_in_future"), (8, "unknown_account"))
    counts = {"accepted": 4, "duplicate": 1, "conflict": 1, "not_chargeable": 1, "rejected": 3}
    assert reported(life, now, calls, *errors, **counts) == []
    assert len(reported(life, now, calls[:1], accepted=1)) == 1
    seen = life.view(now)
    assert seen.sub_usage["2025-01-10", "identity_check", "team"] == (1, 0)
    assert seen.usage["2025-01-10", "identity_check"][:2] == (3, 1)


def test_a_report_that_was_sent_again() -> None:
    """What its first sending stored may be a duplicate in the answer of the second."""
    life = Life()
    calls = (Call("a", "s", "1", at("2025-01-01"), CHECK, "0"),)
    body = {"accepted": 0, "duplicate": 1, "conflict": 0, "not_chargeable": 0, "rejected": 0, "errors": []}
    assert life.model.apply(Report(at("2025-01-01"), calls), [Answer(200, body, again=True)]) == []


# --- packages ----------------------------------------------------------------------------------------------------


def test_the_order_of_use() -> None:
    """Gifts, then the soonest end, the earliest delivery and the id; then postpaid (D9)."""
    life = Life("2024-02-01")
    life.top_up("2024-02-01", "5000")
    early = life.buy("2024-02-28", ("identity_check:1000", 1), name="1")
    same_end = life.buy("2024-02-29", ("identity_check:1000", 2), name="2")
    gift = life.give("2024-02-29 12:00:00", 10)
    expected = [gift, *early, *same_end]
    for done, calls in ((10, 10), (1010, 1000), (2010, 1000), (3010, 1000)):
        life.use("2024-02-29 08:00:00", calls, told="2024-02-29 12:00:00")
        packages = life.view("2024-02-29 12:00:00").packages
        used = [packages[one].used for one in expected]
        assert sum(used) == done
        assert used == sorted(used[:1]) + sorted(used[1:], reverse=True)
    life.use("2024-02-29 08:00:00", 3, told="2024-02-29 12:00:00")
    assert life.split("2024-02-29") == (10, 3000, 3, 0)


def test_free_packages() -> None:
    """Nine from 16 May 2024 on, eight before; half an hour later; none for who moved here (D13)."""
    assert len(Life("2024-05-16").view("2024-05-16 00:30:00").packages) == 9
    life = Life("2024-05-15 23:59:59")
    assert len(life.view("2024-05-16 00:29:58").packages) == 0
    assert len(life.view("2024-05-16 00:29:59").packages) == 8
    assert Life("2024-06-01", "2024-05-31").view("2024-07-01").packages == {}


def test_the_first_merchant_brings_a_free_package() -> None:
    """Once, for an enterprise (D13)."""
    life = Life(verified=True)
    for minute, merchant in enumerate(("m-1", "m-2", "m-1")):
        life.do(Merchant(at(f"2025-01-01 10:{minute:02d}:00"), "a", merchant), 201)
    package = life.view("2025-01-01 10:30:00").packages["free:eid_authority"]
    assert (package.total, package.obtained_at) == (100, "2025-01-01T10:30:00+08:00")
    refused = {"code": "enterprise_verification_required"}
    assert Life().do(Merchant(at("2025-01-01"), "a", "m"), 403, **refused) == []


def test_a_gifts_last_day_is_split() -> None:
    """Up to its last second it gives, from the next on it does not (D11)."""
    life = Life("2024-01-01")
    life.give("2024-03-01 11:00:37", 100)
    life.use("2025-03-01 11:00:37", 2)
    life.use("2025-03-01 11:00:38", 3)
    assert life.split("2025-03-01") == (2, 0, 3, 0)


def test_late_usage_takes_what_is_left_now() -> None:
    """Of the packages of its own day, before the newer days, and never of later ones (D4)."""
    life = Life()
    life.top_up("2025-01-01", "1000")
    life.give("2025-01-01", 100)
    life.use("2025-01-01", 40)
    life.run("2025-01-02")
    life.use("2025-01-02 08:30:00", 55)
    life.buy("2025-01-02 09:00:00", ("identity_check:1000", 1))
    life.use("2025-01-01 20:00:00", 12, told="2025-01-02 10:00:00")
    when = "2025-01-02 23:00:00"
    assert life.split("2025-01-01", when=when) == (52, 0, 0, 0)
    assert life.split("2025-01-02", when=when) == (48, 7, 0, 0)
    life.run("2025-01-03")
    life.use("2025-01-01 20:00:00", 1, told="2025-01-03 10:00:00")
    life.run("2025-01-03", "2025-01-04")
    assert life.split("2025-01-01", when="2025-01-04 08:00:00") == (52, 0, 1, 0)
    keys = [key for key in life.view("2025-01-05").details if key[1] == "identity_check"]
    assert [(day, charged[:10]) for day, _, charged in keys] == [
        ("2025-01-01", "2025-01-02"),
        ("2025-01-01", "2025-01-03"),
        ("2025-01-02", "2025-01-03"),
        ("2025-01-01", "2025-01-04"),
    ]


def test_a_run_that_comes_late() -> None:
    """Of a day that is due it takes all that has come; of a day of which nothing is due, nothing (D3, D4)."""
    life = Life()
    life.use("2025-01-02")
    for day in ("2025-01-01", "2025-01-02"):
        life.use(day, told="2025-01-03 09:00:00")
    life.model.apply(Run(at("2025-01-03 10:00:00")), [])
    assert life.cash("2025-01-03 10:00:00") == "-0.60"
    life.run("2025-01-04")
    assert life.cash("2025-01-04 10:00:00") == "-0.90"


def test_switches_and_stops() -> None:
    """Usage is judged at its own second: off is uncovered, a stop is postpaid, packages rest in it (D5, D14, D22)."""
    life = Life()
    life.give("2025-01-01", 10)
    life.postpaid("2025-01-01 12:00:00", enabled=False)
    life.postpaid("2025-01-01 13:00:00", enabled=True)
    life.violate("2025-01-01 14:00:00", active=True)
    life.violate("2025-01-01 15:00:00", active=False)
    for time, calls in (("11:59:59", 8), ("12:00:00", 3), ("12:59:59", 2), ("13:00:00", 4), ("14:00:00", 5)):
        life.use(f"2025-01-01 {time}", calls, told="2025-01-01 16:00:00")
    assert life.split("2025-01-01") == (10, 0, 9, 3)
    gift = life.give("2025-01-01 17:00:00", 10)
    assert life.view("2025-01-01 17:00:00").packages[gift].used == 7
