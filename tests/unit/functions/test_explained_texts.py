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
