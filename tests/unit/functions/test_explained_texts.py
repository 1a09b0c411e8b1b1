"""The sentences of explanations: both languages say the same, with the same figures."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

import pytest

from bills.sentences import CHINESE_TEXTS, ENGLISH_TEXTS
from bills.wording import say


def places(text: str) -> set[str]:
    """The figures that a sentence has places for."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_sentences() -> None:
    """Each sentence is there in Chinese and in English, and shows the same figures; the days' count is English only."""
    assert CHINESE_TEXTS.keys() == ENGLISH_TEXTS.keys()
    for name, text in CHINESE_TEXTS.items():
        assert places(text) == places(ENGLISH_TEXTS[name]), name
        assert re.search(r"[\u4e00-\u9fff]", text), name
        assert ENGLISH_TEXTS[name].isascii(), name


PRICE = {
    "step": "price",
    "list_price": "0.40",
    "listed_from": "2025-03-01",
    "set_by": "operator",
    "tier_from_calls": 1000,
    "month_quantity": 1234,
    "discount_rate": "0.9",
    "discount": {"rate": "0.9", "from": "2025-02-01", "until": "2025-04-01"},
    "contract_price": None,
    "unit_price": "0.36",
}
CONTRACT = {
    **PRICE,
    "list_price": None,
    "tier_from_calls": None,
    "contract_price": {"from": "2025-02-01", "until": None},
}
SAID: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    (PRICE, "en", ("1234 calls", "step from 1000 calls", "0.40 x 0.9 = 0.36", "until 2025-04-01", "by the operator")),
    (PRICE, "zh-CN", ("1234 次", "1000 次起的阶梯", "0.40 x 0.9 = 0.36", "至 2025-04-01（不含）", "运营方调价")),
    (CONTRACT, "en", ("Contract price: 0.36", "from 2025-02-01 on")),
    ({**CONTRACT, "contract_price": None}, "en", ("Contract price: 0.36",)),
    ({**PRICE, "discount": None}, "en", ("discount rate 0.9",)),
    ({**PRICE, "discount": None, "listed_from": None, "set_by": "catalog"}, "fr", ("官网价格，自首次公布起执行",)),
]


@pytest.mark.parametrize("step, locale, parts", SAID)
def test_a_price_is_said(step: dict[str, Any], locale: str, parts: tuple[str, ...]) -> None:
    """Where it comes from, what the month reached, and what was agreed; in Chinese where we do not speak a language."""
    text = say(step, locale)
    for part in parts:
        assert part in text
    assert "None" not in text


def segment(calls: int, *, stopped: bool = False, day: str = "2025-03-05") -> dict[str, Any]:
    """A segment of a usage step, with what its sentences are made of."""
    return {"day": day, "calls": calls, "stopped": stopped, "begins_with": [], "ends_with": []}


def usage(*segments: dict[str, Any], carried: int = 0) -> dict[str, Any]:
    """The usage step of a line of the first half of a month."""
    return {
        "step": "usage",
        "first_day": "2025-03-01",
        "last_day": "2025-03-15",
        "segments": [{**one, "start": "", "end": ""} for one in segments],
        "carried": {"raw_quantity": carried},
        "earlier": [],
    }


def covered(deducted: int, charged: int, uncovered: int = 0, given: int = 0) -> dict[str, Any]:
    """The packages step of a line to which the one package that is named gave some calls."""
    gift = {"source": "gift", "package_id": "p", "name": "n", "calls": given}
    return {
        "step": "packages",
        "packages": [gift] if given else [],
        "free": deducted,
        "paid": 0,
        "deducted_quantity": deducted,
        "quantity": charged,
        "uncovered_quantity": uncovered,
    }


STOPPED = segment(3, stopped=True)
EXACTLY = [
    (usage(segment(2)), "en", "Calls counted from 2025-03-01 to 2025-03-15: 2 (days: 1, segments: 1)."),
    (
        usage(segment(2), STOPPED, STOPPED),
        "en",
        (
            "Calls counted from 2025-03-01 to 2025-03-15: 8 (days: 1, segments: 3)."
            " Of these, made while service was stopped: 6; packages are not used during a stop."
        ),
    ),
    (
        usage(STOPPED),
        "zh-CN",
        "2025-03-01 至 2025-03-15 计入用量 3 次（1 天，共 1 段）。其中 3 次发生在停服期间，停服期间不抵扣资源包。",
    ),
    (
        usage(carried=-1050),
        "en",
        (
            "The month reached another step: this line takes back 1050 calls that earlier bills counted from"
            " 2025-03-01 to 2025-03-15."
        ),
    ),
    (usage(carried=-7), "zh-CN", "本月阶梯改变，本行冲回此前账单在 2025-03-01 至 2025-03-15 计入的 7 次。"),
    (
        usage(carried=1050),
        "en",
        (
            "The month reached another step: 1050 calls that earlier bills counted from 2025-03-01 to 2025-03-15 are"
            " priced again on this line."
        ),
    ),
    (
        covered(-100, -950, -4),
        "en",
        (
            "Calls that packages gave in earlier bills: 100; these stay given. Calls taken back at the old price: 950;"
            " another line of this bill charges them at the new one. Calls that nothing covered in earlier bills: 4;"
            " these stay uncharged."
        ),
    ),
    (
        covered(-100, -950, -4),
        "zh-CN",
        (
            "此前账单中资源包已抵扣的 100 次保持抵扣，不退回资源包。"
            "按原单价冲回 950 次，由本账单的另一行按新单价重新计费。此前账单中未被抵扣的 4 次仍不收费。"
        ),
    ),
    (
        covered(0, -40),
        "en",
        "Calls taken back at the old price: 40; another line of this bill charges them at the new one.",
    ),
    (
        covered(100, 950),
        "en",
        (
            "Calls deducted from packages: 100; first 100 free or gifted ones, then 0 bought ones. Of these, given in"
            " earlier bills: 100. Calls charged postpaid: 950."
        ),
    ),
    (
        covered(100, 950, given=30),
        "zh-CN",
        (
            "资源包共抵扣 100 次：先用免费或赠送 100 次，再用已购 0 次。其中 70 次已在此前的账单中抵扣。"
            "赠送的 n（p）抵扣 30 次。后付费计费 950 次。"
        ),
    ),
    (
        covered(30, 0, given=30),
        "en",
        (
            "Calls deducted from packages: 30; first 30 free or gifted ones, then 0 bought ones. The gift n (p) gave"
            " 30. Calls charged postpaid: 0."
        ),
    ),
]


@pytest.mark.parametrize("step, locale, text", EXACTLY)
def test_usage_and_its_cover_are_said(step: dict[str, Any], locale: str, text: str) -> None:
    """What a stop kept from packages, and what a line takes back or prices again: packages stay used (D19, D22)."""
    assert say(step, locale) == text
