"""`make demo`: the main job on the local cloud, told as a story with the real figures that the API answers."""

from __future__ import annotations

import random
import sys
import time
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from local.cloud import LocalCloud
from local.story import Teller, heading, say, table

BEGIN = "2025-03-01T08:30:00+08:00"
DAY = "2025-03-01"
SHOP = "shop-7"
BANK = "bank-1"
SEED = 20250301

MIX = [
    # interface, library, result codes as they come, calls
    ("enhanced.wechat_mini_program", "authority", ["0"] * 90 + ["2006"] * 4 + ["2016"] * 3 + ["1003"] * 3, 2400),
    ("basic.pc_h5", "uploaded", ["0"] * 95 + ["66660004"] * 5, 900),
    ("api.id_card_verification", None, ["0"] * 97 + ["-1"] * 2 + ["-2"], 1600),
    ("face_risk", None, ["0"], 777),
]


def day_of_calls(account_id: str) -> list[dict[str, Any]]:
    """A realistic day between 09:00 and 21:00: four interfaces, three teams, two gateways, some failures."""
    draw = random.Random(SEED)  # noqa: S311 - a story, not a secret
    opening = datetime.fromisoformat(f"{DAY}T09:00:00+08:00")
    events = []
    for interface, library, codes, calls in MIX:
        for number in range(calls):
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
                    "time": (opening + timedelta(seconds=draw.randrange(12 * 3600))).isoformat(),
                    "data": data,
                }
            )
    return sorted(events, key=lambda event: str(event["time"]))


def report_all(teller: Teller, events: list[dict[str, Any]]) -> dict[str, int]:
    """Report in batches of 1,000 and add up what the answers say."""
    sums: dict[str, int] = {}
    for start in range(0, len(events), 1000):
        answer = teller.report(events[start : start + 1000])
        for name in ("accepted", "not_chargeable", "duplicate", "conflict", "rejected"):
            sums[name] = sums.get(name, 0) + answer[name]
    return sums


def open_account(teller: Teller, account_id: str, name: str, cash: str, opened_at: str | None = None) -> Any:
    """Create, apply, approve, pay in."""
    teller.operator("POST", "/v1/accounts", {"account_id": account_id, "name": name})
    service = f"/v1/accounts/{account_id}/service"
    teller.operator("POST", f"{service}/application", {"purpose": "checking customers' identity"})
    teller.operator("POST", f"{service}/approval", {"opened_at": opened_at} if opened_at else {})
    teller.operator("POST", f"/v1/accounts/{account_id}/top-ups", {"fund": "cash", "amount": cash}, f"{account_id}-1")
    return teller.customer(account_id, "")


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
                row["quantity"],
                row["total_cost"],
            ]
            for row in details["items"]
        ],
        ["charged", "what", "price", "counted", "charged qty", "cost, 8 decimals"],
    )
    resources = teller.customer(account_id, "/bills/resources", month=month, basis="charge")
    deducted = Decimal(resources["totals"]["total_cost"])
    say(f"details {details['totals']['total_cost']}; deducted {deducted} yuan")
    return deducted


def a_day(teller: Teller) -> None:
    """Meter a day, twice, and settle it."""
    heading(f"1. {SHOP} opens, pays in 5,000 yuan and is metered for a day")
    account = open_account(teller, SHOP, "Shop Seven", "5000.00")
    say(f"status {account['status']}, settled {account['settlement_cycle']}, balance {account['balance']['available']}")
    events = day_of_calls(SHOP)
    teller.move_to(f"{DAY}T21:05:00+08:00")
    began = time.monotonic()
    first = report_all(teller, events)
    say(f"{len(events)} calls reported in {time.monotonic() - began:.1f} s: {first}")
    again = report_all(teller, events)
    say(f"the gateways send everything once more:  {again}")
    teller.move_to(f"{DAY}T21:05:00+08:00")  # the same time: only waits until the stream is worked off
    usage = teller.customer(SHOP, "/usage", by="tag")
    table(
        [[row["tag"], row["calls"], row["not_chargeable"], row["postpaid"]] for row in usage["items"]],
        ["tag", "calls charged", "not chargeable", "postpaid"],
    )
    preview = teller.customer(SHOP, "/bills/preview")
    say(f"the open day would cost {preview['total_cost']} yuan if it were settled now")

    heading("2. The next morning at 08:00")
    ran = teller.move_to("2025-03-02T08:00:00+08:00")
    say(f"what ran: {', '.join(step['name'] for step in ran)}")
    deducted = show_bill(teller, SHOP, "2025-03")
    balance = Decimal(teller.customer(SHOP, "")["balance"]["available"])
    say(f"balance 5000.00 - {deducted} = {balance}")
    if balance != Decimal("5000.00") - deducted or deducted != Decimal(preview["total_cost"]):
        message = "the balance, the bill and the preview differ"
        raise RuntimeError(message)


def a_late_event(teller: Teller) -> None:
    """Usage that arrives after its day was settled, and the row that closes the month."""
    heading("3. A gateway was cut off: usage of yesterday arrives today, and the month ends")
    late = [
        {
            "specversion": "1.0",
            "id": f"late-{number}",
            "source": "/faceid/gateway-9",
            "type": "faceid.call",
            "subject": SHOP,
            "time": f"{DAY}T20:59:00+08:00",
            "data": {"interface": "face_risk", "result_code": "0"},
        }
        for number in range(101)
    ]
    say(f"late usage: {report_all(teller, late)}; the bill that was issued stays as it is")
    teller.move_to("2025-04-01T12:00:00+08:00")
    deducted = show_bill(teller, SHOP, "2025-03")
    journal = teller.customer(SHOP, "/journal")["items"]
    paid = -sum(Decimal(entry["amount"]) for entry in journal if entry["kind"] == "settlement")
    say(f"details + precision row = resources = journal: {deducted} = {paid}")
    if paid != deducted:
        message = "the journal and the bill differ"
        raise RuntimeError(message)


def an_old_customer(teller: Teller) -> None:
    """A monthly account with tiers, arrears and recovery."""
    heading(f"4. {BANK} moved here; it opened in 2022, so it is settled monthly, by tier")
    account = open_account(teller, BANK, "Bank One", "3000.00", "2022-06-01T00:00:00+08:00")
    say(f"status {account['status']}, settled {account['settlement_cycle']}")
    for number in range(10):
        report_all(
            teller,
            [
                {
                    "specversion": "1.0",
                    "id": f"{number}-{call}",
                    "source": "/faceid/gateway-1",
                    "type": "faceid.call",
                    "subject": BANK,
                    "time": f"2025-04-01T{number:02d}:30:00+08:00",
                    "data": {"interface": "api.bank_card_4e", "result_code": "0"},
                }
                for call in range(1000)
            ],
        )
    teller.move_to("2025-05-01T08:00:00+08:00")
    say("10,000 calls in April reach the third tier, 0.36 yuan for all of them:")
    show_bill(teller, BANK, "2025-05")
    account = teller.customer(BANK, "")
    arrears = account["arrears"]
    say(f"balance {account['balance']['available']}: in arrears since {arrears['since']}")
    say(f"without a payment the service stops at {arrears['stops_at']}")
    teller.move_to("2025-05-02T09:00:00+08:00")
    say(f"a day later the service is {teller.customer(BANK, '')['status']}")
    teller.operator("POST", f"/v1/accounts/{BANK}/top-ups", {"fund": "cash", "amount": "600.00"}, f"{BANK}-2")
    account = teller.customer(BANK, "")
    say(f"600 yuan are paid in: {account['status']}, balance {account['balance']['available']}")


def main() -> int:
    """Tell the story."""
    began = time.monotonic()
    print("Starting the embedded cloud and deploying the stack ...")
    with LocalCloud(clock=BEGIN) as cloud, Teller(cloud) as teller:
        print(f"Ready after {time.monotonic() - began:.1f} s at {cloud.url}; business time is {BEGIN}.")
        a_day(teller)
        a_late_event(teller)
        an_old_customer(teller)
    heading(f"The end, after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
