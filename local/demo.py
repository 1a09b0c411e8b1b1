"""`make demo`: the main job on the local cloud, told as a story with the real figures that the API answers."""

from __future__ import annotations

import random
import sys
import time
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from local.accountant import accountant
from local.cloud import LocalCloud
from local.out_of_money import out_of_money
from local.story import Teller, agree, heading, one_instant, open_account, report_all, say, table

BEGIN = "2025-10-01T08:30:00+08:00"
DAY = "2025-10-01"
SHOP = "shop-7"
TRIAL = "trial-1"
GUIDE = "guide-1"
BANK = "bank-1"
MINI_PROGRAM = "enhanced_authority_wechat"
SEED = 20251001

MIX = [
    # interface, library, result codes as they come, calls
    ("enhanced.wechat_mini_program", "authority", ["0"] * 90 + ["2006"] * 4 + ["2016"] * 3 + ["1003"] * 3, 2400),
    ("basic.pc_h5", "uploaded", ["0"] * 95 + ["66660004"] * 5, 900),
    ("api.id_card_verification", None, ["0"] * 97 + ["-1"] * 2 + ["-2"], 1600),
    ("face_risk", None, ["0"], 777),
]


def day_of_calls(account_id: str) -> list[dict[str, Any]]:
    """A day between 09:00 and 21:00 with a rush every five minutes: four interfaces, two gateways, some failures."""
    draw = random.Random(SEED)  # noqa: S311 - a story, not a secret
    opening = datetime.fromisoformat(f"{DAY}T09:00:00+08:00")
    events = []
    for interface, library, codes, calls in MIX:
        for number in range(calls):
            rush = timedelta(minutes=5 * draw.randrange(144), seconds=draw.randrange(10))
            data = {"interface": interface, "result_code": draw.choice(codes), "sub_account": draw.choice("abc")}
            if library:
                data["library"] = library
            events.append(
                {
                    "specversion": "1.0",
                    "id": f"{interface}-{number}",
                    "source": f"/faceid/gateway-{draw.randint(1, 2)}",
                    "type": "faceid.call",
                    "subject": account_id,
                    "time": (opening + rush).isoformat(),
                    "data": data,
                }
            )
    return sorted(events, key=lambda event: str(event["time"]))


def show_bill(teller: Teller, account_id: str, month: str) -> Decimal:
    """Print the detail lines of a month by charge date, and what was deducted for them."""
    details = teller.customer(account_id, "/bills/details", month=month, basis="charge")
    table(
        [
            [
                row["charged_at"][:16],
                row["alias"],
                row["unit_price"] or "",
                row["raw_quantity"],
                row["deducted_quantity"],
                row["quantity"],
                row["total_cost"],
            ]
            for row in details["items"]
        ],
        ["charged", "what", "price", "counted", "by packages", "charged qty", "cost, 8 decimals"],
    )
    resources = teller.customer(account_id, "/bills/resources", month=month, basis="charge")
    deducted = Decimal(resources["totals"]["total_cost"])
    say(f"details {details['totals']['total_cost']}; deducted {deducted} yuan")
    return deducted


def show_packages(teller: Teller, account_id: str, tag: str) -> None:
    """Print the packages of a tag, as its owner sees them at this moment."""
    table(
        [
            [row["name"], row["source"], row["total"], row["used"], row["remaining"], row["expires_at"], row["status"]]
            for row in teller.customer(account_id, "/packages", tag=tag)["items"]
        ],
        ["package", "source", "calls", "used", "left", "until", "status"],
    )


def buy(teller: Teller, account_id: str, sku: str, key: str, quantity: int = 1) -> Any:
    """An order of one kind of package."""
    items = [{"sku": sku, "quantity": quantity}]
    order = teller.buyer(account_id, "POST", "/orders", {"items": items}, key)
    say(f"{order['created_at'][:16]} bought {quantity} x {sku} for {order['amount']} yuan")
    return order


def a_day(teller: Teller) -> None:
    """Free packages, a purchase that reaches back to 00:00, a metered day, sent twice, and settled."""
    heading(f"2. {SHOP} opens and pays in 5,000 yuan; free packages come, and one is bought")
    account = open_account(teller, SHOP, "Shop Seven", "5000.00")
    say(f"status {account['status']}, settled {account['settlement_cycle']}, balance {account['balance']['available']}")
    teller.move_to(f"{DAY}T09:00:00+08:00")
    packages = teller.customer(SHOP, "/packages")["items"]
    say(f"half an hour after the opening: {len(packages)} free packages of {packages[0]['total']} calls")
    events = day_of_calls(SHOP)
    before, after = (
        [event for event in events if (event["time"] < f"{DAY}T14:30") is early] for early in (True, False)
    )
    teller.move_to(f"{DAY}T14:30:00+08:00")
    report_all(teller, before)
    teller.move_to(f"{DAY}T14:30:00+08:00")  # the same time: only waits until the stream is worked off
    say("by 14:30 the free calls of the mini program are used up:")
    show_packages(teller, SHOP, MINI_PROGRAM)
    buy(teller, SHOP, f"{MINI_PROGRAM}:1000", "shop-order-1")
    say("a package serves its whole day, so the calls of the morning come from it:")
    show_packages(teller, SHOP, MINI_PROGRAM)
    teller.move_to(f"{DAY}T21:05:00+08:00")
    began = time.monotonic()
    first = report_all(teller, after)
    say(f"{len(after)} more calls reported in {time.monotonic() - began:.1f} s: {first}")
    again = report_all(teller, events)
    say(f"the gateways send the whole day once more:  {again}")
    teller.move_to(f"{DAY}T21:05:00+08:00")
    usage = teller.customer(SHOP, "/usage", by="tag")
    table(
        [
            [row["tag"], row["calls"], row["free"], row["paid"], row["postpaid"], row["not_chargeable"]]
            for row in usage["items"]
        ],
        ["tag", "calls charged", "free", "paid", "postpaid", "not chargeable"],
    )
    preview = teller.customer(SHOP, "/bills/preview")
    say(f"the open day would cost {preview['total_cost']} yuan if it were settled now")

    heading("3. The next morning at 08:00")
    ran = teller.move_to("2025-10-02T08:00:00+08:00")
    say(f"what ran: {', '.join(step['name'] for step in ran)}")
    deducted = show_bill(teller, SHOP, "2025-10")
    balance = Decimal(teller.customer(SHOP, "")["balance"]["available"])
    say(f"balance 5000.00 - {deducted} = {balance}")
    agree(balance == Decimal("5000.00") - deducted, "the balance and the bill differ")
    agree(deducted == Decimal(preview["total_cost"]) + Decimal("1150.00"), "the bill and the preview differ")


def one_too_many(teller: Teller) -> list[str]:
    """Two packages are bought where none was needed; their ids."""
    heading(f"1. On 1 October {TRIAL} buys two packages that it will not need")
    open_account(teller, TRIAL, "Trial", "5000.00")
    order = buy(teller, TRIAL, "basic_authority:1000", "trial-order-1", 2)
    return [package["package_id"] for package in order["packages"]]


def seven_days(teller: Teller, packages: list[str]) -> None:
    """A package that was never used can be given back until the end of the seventh day."""
    heading(f"4. {TRIAL} gives one of its packages back, as late as it can")
    one, other = packages
    bought = teller.customer(TRIAL, f"/packages/{one}/refund-quote")
    say(f"a refund would bring {bought['amount']} yuan until {bought['refundable_until']}")
    teller.move_to("2025-10-08T23:59:59+08:00")
    refund = teller.buyer(TRIAL, "POST", f"/packages/{one}/refund", {}, "trial-refund-1")
    say(f"at 23:59:59 of 8 October the refund is {refund['status']}, and the package is gone")
    teller.move_to("2025-10-09T00:00:00+08:00")
    refused = teller.refusal(TRIAL, f"/packages/{other}/refund", {}, "trial-refund-2")
    say(f"at 00:00 of 9 October it is too late for the other one: {refused}")
    teller.move_to("2025-10-09T00:02:59+08:00")
    refund = teller.customer(TRIAL, f"/refunds/{refund['refund_id']}")
    say(f"three minutes after the request it is {refund['status']}: {refund['refunds']['cash']} yuan in cash")
    show_bill(teller, TRIAL, "2025-10")
    balance = teller.customer(TRIAL, "")["balance"]["available"]
    say(f"balance 5000.00 - 1860.00 + 930.00 = {balance}")
    agree(balance == "4070.00" and refused == "refund_window_passed", "the refund went wrong")


def the_guide(teller: Teller) -> None:
    """The guide's two prepaid examples."""
    heading(f"5. The guide's prepaid examples, by {GUIDE}")
    open_account(teller, GUIDE, "Guide", "330000.00", "2024-01-01T00:00:00+08:00")
    buy(teller, GUIDE, "enhanced_authority_app:100000", "guide-order-1", 3)
    buy(teller, GUIDE, f"{MINI_PROGRAM}:10000", "guide-order-2")
    day = "2025-10-09"
    for batch in range(15):
        calls = one_instant(GUIDE, f"{day}T00:02:00+08:00", "enhanced.wechat_mini_program", f"guide-{batch}", 1000)
        report_all(teller, [{**call, "data": {**call["data"], "library": "authority"}} for call in calls])
    teller.move_to("2025-10-10T08:00:00+08:00")
    show_bill(teller, GUIDE, "2025-10")
    balance = Decimal(teller.customer(GUIDE, "")["balance"]["available"])
    say("300,000 for three packages, and (15,000 - 10,000) x 1.2 + 11,000 = 17,000 for calls beyond a package")
    agree(balance == Decimal("330000.00") - 300_000 - 17_000, "the guide's examples cost something else")


def a_late_event(teller: Teller) -> None:
    """Usage that arrives after its day was settled, and the row that closes the month."""
    heading("6. A gateway was cut off: usage of ten days ago arrives today, and the month ends")
    late = one_instant(SHOP, f"{DAY}T20:59:00+08:00", "face_risk", "late", 101)
    say(f"late usage: {report_all(teller, late)}; the bill that was issued stays as it is")
    teller.move_to("2025-11-01T12:00:00+08:00")
    deducted = show_bill(teller, SHOP, "2025-10")
    journal = teller.customer(SHOP, "/journal")["items"]
    paid = -sum(Decimal(entry["amount"]) for entry in journal if entry["kind"] != "top_up")
    say(f"details + precision row = resources = journal: {deducted} = {paid}")
    agree(paid == deducted, "the journal and the bill differ")


def an_old_customer(teller: Teller) -> None:
    """A monthly account with tiers, arrears and recovery."""
    heading(f"7. {BANK} moved here; it opened in 2022, so it is settled monthly, by tier")
    account = open_account(teller, BANK, "Bank One", "3000.00", "2022-06-01T00:00:00+08:00")
    say(f"status {account['status']}, settled {account['settlement_cycle']}")
    for hour in range(10):
        report_all(
            teller,
            one_instant(BANK, f"2025-11-01T{hour:02d}:30:00+08:00", "api.bank_card_4e", f"bank-{hour}", 1000),
        )
    teller.move_to("2025-12-01T08:00:00+08:00")
    say("10,000 calls in November reach the third tier, 0.36 yuan for all of them:")
    show_bill(teller, BANK, "2025-12")
    account = teller.customer(BANK, "")
    arrears = account["arrears"]
    say(f"balance {account['balance']['available']}: in arrears since {arrears['since']}")
    order = {"items": [{"sku": "bank_card_check:1000", "quantity": 1}]}
    say(f"an order now is refused: {teller.refusal(BANK, '/orders', order, 'bank-order-1')}")
    say(f"without a payment the service stops at {arrears['stops_at']}")
    teller.move_to("2025-12-02T09:00:00+08:00")
    entitlement = teller.customer(BANK, "/entitlements/bank_card_check")
    say(f"a day later the service is {teller.customer(BANK, '')['status']}: the next call is {entitlement['reason']}")
    teller.operator("POST", f"/v1/accounts/{BANK}/top-ups", {"fund": "cash", "amount": "600.00"}, f"{BANK}-2")
    account = teller.customer(BANK, "")
    say(f"600 yuan are paid in: {account['status']}, balance {account['balance']['available']}")


def main() -> int:
    """Tell the story."""
    began = time.monotonic()
    print("Starting the embedded cloud and deploying the stack ...")
    with LocalCloud(clock=BEGIN) as cloud, Teller(cloud) as teller:
        print(f"Ready after {time.monotonic() - began:.1f} s at {cloud.url}; business time is {BEGIN}.")
        packages = one_too_many(teller)
        a_day(teller)
        seven_days(teller, packages)
        the_guide(teller)
        a_late_event(teller)
        an_old_customer(teller)
        out_of_money(teller)
        accountant(teller, SHOP, DAY)
    heading(f"The end, after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
