"""The sentences of an explanation, in Chinese and in English. They are made from a step's figures and add none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bills.explanation_models import Step
from bills.sentences import CHINESE_TEXTS, ENGLISH_TEXTS

ENGLISH = "en"
_FUNDS = ("voucher", "gift", "income_transfer", "cash")
_COVERED = {"deducted_quantity": "stay_given", "quantity": "charge_taken_back", "uncovered_quantity": "stay_uncovered"}
"""Who covered the calls that a line takes back, and what is said of them: only the charge is undone (D19)."""


@dataclass(frozen=True, slots=True)
class _Words:
    """The sentences of a language, and what stands between them."""

    texts: Mapping[str, str]
    gap: str
    comma: str

    def say(self, name: str, /, **fields: Any) -> str:
        """One sentence."""
        return self.texts[name].format(**fields)

    def join(self, sentences: list[str]) -> str:
        """Sentences in their order."""
        return self.gap.join(sentences)


_ENGLISH = _Words(ENGLISH_TEXTS, " ", ", ")
_CHINESE = _Words(CHINESE_TEXTS, "", "，")


def say(step: Step, locale: str) -> str:
    """What a step says; in Chinese where the language is none that we speak."""
    words = _ENGLISH if locale == ENGLISH else _CHINESE
    return words.join(_SAID[step["step"]](step, words))


def _usage(step: Step, words: _Words) -> list[str]:
    segments, carried = step["segments"], step["carried"]["raw_quantity"]
    # A line that only prices again what earlier bills counted has none of its own.
    said = [_counted(step, words)] if segments or not carried else []
    stopped = sum(one["calls"] for one in segments if one["stopped"])
    if stopped:
        said.append(words.say("while_stopped", calls=stopped))
    causes = {
        (at[:19].replace("T", " "), one["cause"], one["package_id"])
        for segment in segments
        for at, found in ((segment["start"], segment["begins_with"]), (segment["end"], segment["ends_with"]))
        for one in found
    }
    said += [words.say(cause, at=at, package=package) for at, cause, package in sorted(causes, key=str)]
    said += [words.say("earlier", **one) for one in step["earlier"]]
    if carried:
        name = "taken_back" if carried < 0 else "priced_again"
        said.append(words.say(name, calls=abs(carried), **_of(step, "first_day", "last_day")))
    return said


def _counted(step: Step, words: _Words) -> str:
    segments = step["segments"]
    calls, days = sum(one["calls"] for one in segments), len({one["day"] for one in segments})
    if step["first_day"] == step["last_day"]:
        return words.say("counted", calls=calls, parts=len(segments), first=step["first_day"])
    return words.say("counted_days", calls=calls, parts=len(segments), days=days, **step)


def _packages(step: Step, words: _Words) -> list[str]:
    if min(_of(step, *_COVERED).values()) < 0:
        return [words.say(name, calls=-step[part]) for part, name in _COVERED.items() if step[part]]
    given: dict[tuple[str, str, str], int] = {}
    for one in step["packages"]:
        package = (one["source"], one["package_id"], one["name"])
        given[package] = given.get(package, 0) + one["calls"]
    said = [words.say("no_package")]
    if step["deducted_quantity"]:
        said = [words.say("deducted", calls=step["deducted_quantity"], **_of(step, "free", "paid"))]
    before = step["deducted_quantity"] - sum(given.values())
    if before:
        said.append(words.say("deducted_before", calls=before))
    said += [
        words.say(f"given_by_{source}", package_id=package_id, name=name, calls=calls)
        for (source, package_id, name), calls in given.items()
    ]
    said.append(words.say("charged", quantity=step["quantity"]))
    if step["uncovered_quantity"]:
        said.append(words.say("uncovered", quantity=step["uncovered_quantity"]))
    return said


def _price(step: Step, words: _Words) -> list[str]:
    if step["list_price"] is None:
        term = step["contract_price"]
        if term is None:
            return [words.say("contract", **step)]
        return [words.say("contract", **step), _period(term, words)]
    since = words.say("listed_from", day=step["listed_from"]) if step["listed_from"] else words.say("listed_first")
    said = [words.say("listed", price=step["list_price"], since=since, by=words.say(f"by_{step['set_by']}"))]
    if step["tier_from_calls"] is not None:
        said = [
            words.say(
                "tier",
                price=step["list_price"],
                since=since,
                by=words.say(f"by_{step['set_by']}"),
                quantity=step["month_quantity"],
                calls=step["tier_from_calls"],
            )
        ]
    if step["discount"] is not None:
        said += [
            words.say("discount", rate=step["discount"]["rate"], **_of(step, "list_price", "unit_price")),
            _period(step["discount"], words),
        ]
    elif Decimal(step["discount_rate"]) != 1:
        said.append(words.say("discount", rate=step["discount_rate"], **_of(step, "list_price", "unit_price")))
    return said


def _period(term: Mapping[str, Any], words: _Words) -> str:
    name = "agreed" if term["until"] is None else "agreed_until"
    return words.say(name, first=term["from"], until=term["until"])


def _package(step: Step, words: _Words) -> list[str]:
    since = words.say("listed_from", day=step["listed_from"]) if step["listed_from"] else words.say("listed_first")
    said = [
        words.say("bought", **_of(step, "order_id", "package_id", "name")),
        words.say("package_price", price=step["list_price"], since=since, by=words.say(f"by_{step['set_by']}")),
    ]
    if step["activity_id"] is not None:
        said.append(words.say("activity", **_of(step, "activity_id", "package_rate", "list_price", "unit_price")))
    return said


def _refund(step: Step, words: _Words) -> list[str]:
    said = [
        words.say(
            "refunded",
            paid=_payment(step["paid"], words),
            back=_payment(step["refunds"], words),
            **_of(step, "order_id", "package_id", "name"),
        )
    ]
    if Decimal(step["voucher_forfeited"]):
        said.append(words.say("forfeited", amount=step["voucher_forfeited"]))
    return said


def _adjustment(step: Step, words: _Words) -> list[str]:
    said = [words.say("adjusted", reason=step["reason"])]
    if step["corrects"] is not None:
        said.append(words.say("corrects", corrects=step["corrects"]))
    return said


def _month(step: Step, words: _Words) -> list[str]:
    return [words.say("month", **_of(step, "month", "details", "deducted", "difference"))]


def _cost(step: Step, words: _Words) -> list[str]:
    return [words.say("cost", formula=step["formula"])]


def _rounding(step: Step, words: _Words) -> list[str]:
    return [words.say("rounded", **_of(step, "lines", "details", "deducted", "difference"))]


def _payments(step: Step, words: _Words) -> list[str]:
    said = [words.say("paid", payment=_payment(step, words), resource=_payment(step["resource"], words))]
    if step["voucher_id"] is not None:
        said.append(words.say("by_voucher", voucher_id=step["voucher_id"]))
    return said


def _corrections(step: Step, words: _Words) -> list[str]:
    if not step["corrections"]:
        return [words.say("not_corrected")]
    return [words.say("corrected", **_of(one, "transaction_id", "total_cost", "reason")) for one in step["corrections"]]


def _payment(payment: Mapping[str, Any], words: _Words) -> str:
    parts = [words.say(fund, amount=payment[fund]) for fund in _FUNDS if Decimal(payment[fund])]
    return words.comma.join(parts) or words.say("nothing")


def _of(step: Step, *names: str) -> dict[str, Any]:
    return {name: step[name] for name in names}


_SAID: Mapping[str, Callable[[Step, _Words], list[str]]] = {
    "usage": _usage,
    "packages": _packages,
    "price": _price,
    "package": _package,
    "refund": _refund,
    "adjustment": _adjustment,
    "month": _month,
    "cost": _cost,
    "rounding": _rounding,
    "payment": _payments,
    "corrections": _corrections,
}
