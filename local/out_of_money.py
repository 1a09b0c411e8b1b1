"""The demo's chapter about a balance that runs out: warned, in arrears, stopped, paid, resumed, and who heard of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.story import agree, heading, one_instant, open_account, report_all, say, table

if TYPE_CHECKING:
    from local.story import Teller

CAFE = "cafe-3"
CONTACT = {"email": "owner@cafe.example", "phone": "138-0000-0003", "locale": "en"}
INTERFACE, TAG = "api.id_card_verification", "identity_check"
"""0.30 yuan a call."""
EXPECTED = ["balance_low", "arrears", "daily_report", "stopped", "resumed"]


def out_of_money(teller: Teller) -> None:
    """From the first warning to the payment, and every message that went out."""
    heading(f"8. {CAFE} forgets to pay")
    open_account(teller, CAFE, "Café Three", "100.00", contact=CONTACT)
    subscription = {"locale": "en", "daily_report": True}
    told = teller.buyer(CAFE, "PUT", "/notice-subscriptions", subscription)
    say(
        f"messages go to {', '.join(told['emails'])} and {', '.join(told['phones'])}; a report comes every day at 10:00"
    )
    _use(teller, "2025-12-02", 120)
    teller.move_to("2025-12-03T08:00:00+08:00")
    _state(teller, "120 calls at 0.30 were charged; the rest would not last three days like this one")
    _use(teller, "2025-12-03", 300)
    teller.move_to("2025-12-04T08:00:00+08:00")
    account = _state(teller, "day 1: 300 calls more, and the balance is below zero")
    say(f"the service goes on until {account['arrears']['stops_at']}")
    teller.move_to("2025-12-05T07:59:59+08:00")
    _state(teller, "one second before the 24 hours are over")
    teller.move_to("2025-12-05T08:00:00+08:00")
    _state(teller, "day 2: the 24 hours are over")
    say(f"the next call is refused: {teller.customer(CAFE, f'/entitlements/{TAG}')['reason']}")
    teller.operator("POST", f"/v1/accounts/{CAFE}/top-ups", {"fund": "cash", "amount": "26.00"}, f"{CAFE}-2")
    teller.move_to("2025-12-05T08:00:00+08:00")
    account = _state(teller, "26 yuan are paid in")
    agree(account["status"] == "active" and account["arrears"] is None, "the payment did not resume the service")
    _messages(teller)


def _use(teller: Teller, day: str, calls: int) -> None:
    noon = f"{day}T12:00:00+08:00"
    teller.move_to(noon)
    counts = report_all(teller, one_instant(CAFE, noon, INTERFACE, f"{CAFE}-{day}", calls))
    agree(counts["accepted"] == calls, f"{calls} calls were answered {counts}")


def _state(teller: Teller, why: str) -> Any:
    account = teller.customer(CAFE, "")
    say(f"{why}: {account['status']}, balance {account['balance']['available']}")
    return account


def _messages(teller: Teller) -> None:
    """What lies in the inbox, and what the providers of e-mail and SMS were given."""
    notices = teller.customer(CAFE, "/notices")["items"]
    say("the inbox:")
    table(
        [
            [
                notice["occurred_at"][:16],
                notice["kind"],
                notice["subject"],
                ", ".join(f"{one['channel']} {one['status']}" for one in notice["deliveries"]),
            ]
            for notice in notices
        ],
        ["when", "kind", "subject", "deliveries"],
    )
    kinds = [notice["kind"] for notice in notices]
    agree(
        [kind for kind in kinds if kind != "daily_report"] == [kind for kind in EXPECTED if kind != "daily_report"],
        f"the inbox has {kinds}",
    )
    sent = [message for message in teller.messages() if message["to"] in ([CONTACT["email"]], ["+8613800000003"])]
    for channel in ("email", "sms"):
        messages = [message for message in sent if message["channel"] == channel]
        say(f"{len(messages)} messages by {channel}:")
        for message in messages:
            say(f"- {message.get('subject') or message['body']}")
    last = next(message for message in reversed(sent) if message["channel"] == "email")
    say(f"the last e-mail, to {', '.join(last['to'])}:")
    for line in [last["subject"], "", *last["body"].splitlines()]:
        print(f"   | {line}".rstrip())
    report = next(message for message in reversed(sent) if "█" in message["body"])
    say("and the last daily report:")
    for line in report["body"].splitlines():
        print(f"   | {line}".rstrip())
