"""The texts of notices, in both languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aws_platform.notices import KeptNotice, notice_from_event
from aws_platform.texts import CHINESE, ENGLISH, Text, email_text, render, sms_text
from rating.notices import Kind

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[3] / "docs/notices.schema.json").read_text())
BY_SMS = [kind for kind in Kind if kind is not Kind.DAILY_REPORT]
TAG = {CHINESE: "身份信息核验", ENGLISH: "identity_check"}
SINCE, STOPS, RELEASES = "2025-03-01 08:00:00", "2025-03-02 08:00:00", "2025-04-01 08:00:00"
EXPIRES = "2026-03-01 23:59:59"
FIGURES: dict[Kind, list[str]] = {
    Kind.PACKAGE_DELIVERED: ["10,000", "ord-7", "pkg-7", "2025-03-01 10:00:00", EXPIRES],
    Kind.PACKAGE_LOW: ["20", "10,000", "1,999", "pkg-7", EXPIRES],
    Kind.PACKAGE_EXHAUSTED: ["10,000", "pkg-7", EXPIRES],
    Kind.PACKAGE_EXPIRING: ["7", "10,000", "1,999", "pkg-7", EXPIRES],
    Kind.PACKAGE_EXPIRED: ["10,000", "1,999", "pkg-7", EXPIRES],
    Kind.ARREARS: ["-12.30", SINCE, STOPS, RELEASES],
    Kind.STOPPED: ["-12.30", SINCE, STOPS, RELEASES],
    Kind.RESUMED: ["87.70", "2025-03-02 09:15:30"],
    Kind.RELEASED: ["-12.30", SINCE, STOPS, RELEASES],
    Kind.REFUND_COMPLETED: ["2,100.00", "1,900.00", "150.00", "50.00", "30.00", "pkg-7", "ref-7"],
    Kind.BALANCE_LOW: ["250.00", "20.10", "2025-02-28", "99.90"],
    Kind.DAILY_REPORT: ["2025-02-28", "1,300", "1,234", "66", "2025-02-22", "▁▂▃▄▅▆█", "1,999", "10,000", EXPIRES, "2"],
    Kind.WEBHOOK_DISABLED: ["hooks.example.com", "wh-7", "2025-02-28 10:00:00"],
}
IN_SMS: dict[Kind, list[str]] = {
    Kind.PACKAGE_DELIVERED: ["10,000", EXPIRES],
    Kind.PACKAGE_LOW: ["10,000", "1,999"],
    Kind.PACKAGE_EXHAUSTED: ["10,000"],
    Kind.PACKAGE_EXPIRING: ["1,999", EXPIRES],
    Kind.PACKAGE_EXPIRED: ["1,999", EXPIRES],
    Kind.ARREARS: ["-12.30", SINCE, STOPS, RELEASES],
    Kind.STOPPED: ["-12.30", SINCE, STOPS, RELEASES],
    Kind.RESUMED: ["87.70", "2025-03-02 09:15:30"],
    Kind.RELEASED: ["-12.30", SINCE, RELEASES],
    Kind.REFUND_COMPLETED: ["2,100.00"],
    Kind.BALANCE_LOW: ["250.00", "20.10", "2025-02-28", "99.90"],
    Kind.WEBHOOK_DISABLED: ["hooks.example.com", "2025-02-28 10:00:00"],
}
ABOUT_A_TAG = {kind for kind in Kind if kind.value.startswith("package_")} | {Kind.REFUND_COMPLETED, Kind.DAILY_REPORT}
MONEY = {CHINESE: "-12.30 元", ENGLISH: "CNY -12.30"}


def example(kind: Kind) -> KeptNotice:
    """The documented notice of a kind."""
    return notice_from_event(SCHEMA["$defs"][kind.value]["examples"][0])


def data(kind: Kind, **changes: Any) -> dict[str, Any]:
    """Its data, some of them otherwise."""
    return {**example(kind).notice.data, **changes}


def text(kind: Kind, locale: str, **changes: Any) -> Text:
    """Its text."""
    return render(kind, data(kind, **changes), locale)


@pytest.mark.parametrize("locale", [CHINESE, ENGLISH])
@pytest.mark.parametrize("kind", list(Kind))
def test_text_has_all_figures(kind: Kind, locale: str) -> None:
    """Every kind says in both languages what the reader must know, and names the billing tag as the language does."""
    made = text(kind, locale)
    assert [figure for figure in FIGURES[kind] if figure not in made.body] == []
    assert made.subject
    assert "\n" not in made.subject
    assert not set("{}") & set(made.subject + made.body), "every place is filled"
    assert TAG[locale] in made.body or kind not in ABOUT_A_TAG


@pytest.mark.parametrize("locale", [CHINESE, ENGLISH])
@pytest.mark.parametrize("kind", BY_SMS)
def test_sms_has_the_figures_that_matter(kind: Kind, locale: str) -> None:
    """An SMS is one signed line with the figures to act upon."""
    made = sms_text(kind, data(kind), locale)
    assert made.startswith("【Zhangben】")
    assert made.isprintable()
    assert [figure for figure in IN_SMS[kind] if figure not in made] == []
    assert len(made) < 250


def test_daily_report_is_not_sent_by_sms() -> None:
    """A daily report has no SMS."""
    with pytest.raises(ValueError, match="not sent by SMS"):
        sms_text(Kind.DAILY_REPORT, data(Kind.DAILY_REPORT), CHINESE)


@pytest.mark.parametrize("locale", [CHINESE, ENGLISH])
def test_money_names_its_currency(locale: str) -> None:
    """Amounts are shown in yuan."""
    assert MONEY[locale] in text(Kind.ARREARS, locale).body


@pytest.mark.parametrize("locale", [CHINESE, ENGLISH])
@pytest.mark.parametrize("kind", [Kind.STOPPED, Kind.RESUMED])
def test_cause_changes_the_text(kind: Kind, locale: str) -> None:
    """A violation is told otherwise than arrears, and has no release."""
    changes: dict[str, Any] = {"cause": "violation"}
    if kind is Kind.STOPPED:
        changes["releases_at"] = None
    violation = text(kind, locale, **changes)
    assert violation.subject != text(kind, locale).subject
    assert RELEASES not in violation.body
    assert "None" not in violation.body
    assert sms_text(kind, data(kind, **changes), locale) != sms_text(kind, data(kind), locale)


@pytest.mark.parametrize("locale", [CHINESE, ENGLISH])
def test_reason_changes_the_text(locale: str) -> None:
    """An endpoint that is gone is told otherwise than one that fails."""
    gone = text(Kind.WEBHOOK_DISABLED, locale, reason="gone")
    assert "410" in gone.body
    assert "410" not in text(Kind.WEBHOOK_DISABLED, locale).body
    assert "hooks.example.com" in sms_text(Kind.WEBHOOK_DISABLED, data(Kind.WEBHOOK_DISABLED, reason="gone"), locale)


@pytest.mark.parametrize("locale", [CHINESE, ENGLISH])
@pytest.mark.parametrize("kind", list(Kind))
def test_data_cannot_break_lines(kind: Kind, locale: str) -> None:
    """Line breaks and control characters in the data get neither into subjects nor into SMS."""
    evil = {"host": "a\r\nBcc: b", "tag": "x\u2028y\x00", "package_id": "p\nq", "refund_id": "r\x85s", "order_id": "\n"}
    changed = {name: evil.get(name, value) for name, value in data(kind).items()}
    assert render(kind, changed, locale).subject.isprintable()
    if kind in BY_SMS:
        assert sms_text(kind, changed, locale).isprintable()


@pytest.mark.parametrize("kind", list(Kind))
def test_unknown_locale_is_chinese(kind: Kind) -> None:
    """A reader whose language is not known reads Chinese."""
    assert text(kind, "fr") == text(kind, CHINESE)


def test_one_is_singular() -> None:
    """English counts one call and one day."""
    made = text(Kind.PACKAGE_EXPIRING, ENGLISH, days=1, remaining=1)
    assert "expires in 1 day." in made.body
    assert "Remaining: 1 call\n" in made.body


def test_daily_report_is_a_table() -> None:
    """The figures of a report stand below each other, Chinese characters counted as two places."""
    lines = text(Kind.DAILY_REPORT, CHINESE).body.splitlines()
    assert "Plus版人脸核身（权威库）-微信  1,234 次" in lines
    assert f"身份信息核验{' ' * 22}66 次" in lines
    assert "近 7 天趋势：▁▂▃▄▅▆█" in lines
    assert "2025-02-22      0 次" in lines
    assert lines[-1] == "另有 2 个资源包未列出。"


@pytest.mark.parametrize("locale,nothing", [(CHINESE, "无"), (ENGLISH, "None")])
def test_empty_daily_report(locale: str, nothing: str) -> None:
    """A day without calls and an account without packages have a report too."""
    made = text(Kind.DAILY_REPORT, locale, calls=[], total=0, packages=[], more_packages=0)
    assert made.body.splitlines().count(nothing) == 2


@pytest.mark.parametrize("locale", [CHINESE, ENGLISH])
def test_email_says_whose_account(locale: str) -> None:
    """An e-mail is signed and names the account, the notice and the time zone."""
    kept = example(Kind.ARREARS)
    made, shown = email_text(kept, locale), render(kept.notice.kind, kept.notice.data, locale)
    assert made.subject == f"【Zhangben】{shown.subject}"
    assert shown.body in made.body
    assert kept.account_id in made.body
    assert kept.notice_id in made.body
    assert "UTC+8" in made.body
