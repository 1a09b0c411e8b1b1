"""What notices say, in Chinese and in English: in the inbox, in e-mails and in SMS (D27, D28).

A notice is kept as facts; its text is made where it is shown or sent, in the reader's language.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rating.catalog import load
from rating.civil import local
from rating.notices import Kind

if TYPE_CHECKING:
    from aws_platform.notices import KeptNotice

SIGNATURE = "【Zhangben】"
"""Begins every SMS and the subject of every e-mail, so that the reader knows the sender."""
CHINESE = "zh-CN"
ENGLISH = "en"

_INSTANTS = frozenset({"since", "stops_at", "releases_at", "resumed_at", "delivered_at", "expires_at"})
_MONEY = frozenset({"balance", "unsettled", "day_cost", "amount", "voucher_forfeited"})
_CALLS = frozenset({"total", "remaining"})
_COLUMN_GAP = "  "
_WIDE = frozenset("WF")
"""Characters that take two places (Unicode's East Asian Width)."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a reader sees."""

    subject: str
    """One line, whatever the data say."""
    body: str


@dataclass(frozen=True, slots=True)
class _Template:
    """The text of a kind of notice, with places for its data."""

    subject: str
    body: str
    sms: str = ""
    """Empty where the kind is not sent by SMS."""


@dataclass(frozen=True, slots=True)
class _Language:
    """How things are said in a language."""

    money: str
    calls: Callable[[int], str]
    days: Callable[[int], str]
    remaining: str
    expires: str
    more_packages: str
    nothing: str
    tag: Callable[[str], str]
    letter: str
    templates: Mapping[str, _Template]
    """By kind, with the cause or the reason where the text depends on it."""


def render(kind: Kind, data: Mapping[str, Any], locale: str) -> Text:
    """The subject and the body of a notice; in Chinese where the language is none that we speak."""
    language = _language(locale)
    template, fields = language.templates[_name(kind, data)], _fields(kind, data, language)
    return Text(template.subject.format(**fields), template.body.format(**fields))


def email_text(kept: KeptNotice, locale: str) -> Text:
    """A notice as an e-mail: who writes, to whose account, and in which time zone."""
    text = render(kept.notice.kind, kept.notice.data, locale)
    body = _language(locale).letter.format(body=text.body, account_id=kept.account_id, notice_id=kept.notice_id)
    return Text(f"{SIGNATURE}{text.subject}", body)


def sms_text(kind: Kind, data: Mapping[str, Any], locale: str) -> str:
    """A notice as an SMS, in one line. Raises ValueError for a kind that is not sent so."""
    language = _language(locale)
    template = language.templates[_name(kind, data)]
    if not template.sms:
        msg = f"{kind} is not sent by SMS"
        raise ValueError(msg)
    return f"{SIGNATURE}{template.sms.format(**_fields(kind, data, language))}"


def _language(locale: str) -> _Language:
    return _LANGUAGES.get(locale, _LANGUAGES[CHINESE])


def _name(kind: Kind, data: Mapping[str, Any]) -> str:
    """The name of the template: what happened, and where that changes the text, why."""
    match kind:
        case Kind.STOPPED | Kind.RESUMED:
            return f"{kind}.{data['cause']}"
        case Kind.WEBHOOK_DISABLED:
            return f"{kind}.{data['reason']}"
        case _:
            return kind.value


def _fields(kind: Kind, data: Mapping[str, Any], language: _Language) -> dict[str, str]:
    """The data as the reader sees them, each on one line; lists become tables."""
    fields = {name: _shown(name, value, language) for name, value in data.items() if isinstance(value, str | int)}
    if kind is Kind.REFUND_COMPLETED:
        fields |= {f"refunds_{fund}": _money(amount, language) for fund, amount in data["refunds"].items()}
    elif kind is Kind.DAILY_REPORT:
        fields |= {
            "by_tag": _by_tag(data["calls"], language),
            "trend": _table([(one["day"], language.calls(one["calls"])) for one in data["trend"]]),
            "packages": _packages(data["packages"], data["more_packages"], language),
        }
    return fields


def _shown(name: str, value: str | int, language: _Language) -> str:
    """A value of the data as its name asks for."""
    if name == "tag":
        return language.tag(str(value))
    if name in _INSTANTS:
        return _time(str(value))
    if name in _MONEY:
        return _money(str(value), language)
    if name in _CALLS:
        return language.calls(int(value))
    if name == "days":
        return language.days(int(value))
    return _one_line(str(value))


def _time(text: str) -> str:
    return f"{local(datetime.fromisoformat(text)):%Y-%m-%d %H:%M:%S}"


def _money(text: str, language: _Language) -> str:
    return language.money.format(f"{Decimal(text):,}")


def _one_line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _chinese_name(tag: str) -> str:
    catalog = load()
    return catalog.tag(tag).name if catalog.has_tag(tag) else _one_line(tag)


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _by_tag(calls: Sequence[Mapping[str, Any]], language: _Language) -> str:
    rows = [(language.tag(one["tag"]), language.calls(one["calls"])) for one in calls]
    return _table(rows) if rows else language.nothing


def _packages(packages: Sequence[Mapping[str, Any]], more: int, language: _Language) -> str:
    rows = [
        (
            language.tag(one["tag"]),
            language.remaining.format(remaining=f"{one['remaining']:,}", total=f"{one['total']:,}"),
            language.expires.format(_time(one["expires_at"])),
        )
        for one in packages
    ]
    lines = _table(rows) if rows else language.nothing
    return f"{lines}\n{language.more_packages.format(more)}" if more else lines


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of plain text: the first begins at the left, the others end at the right."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        _COLUMN_GAP.join(
            cell + " " * (width - _width(cell)) if number == 0 else " " * (width - _width(cell)) + cell
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(one) in _WIDE else 1 for one in text)


_CHINESE_PACKAGE = """\
资源包：{tag}
总量：{total}
剩余：{remaining}
到期时间：{expires_at}
资源包 ID：{package_id}"""

_CHINESE_TEXTS = {
    "package_delivered": _Template(
        "资源包到账通知：{tag}，{total}",
        f"您购买的资源包已到账，可以使用。\n\n{_CHINESE_PACKAGE}\n到账时间：{{delivered_at}}\n订单号：{{order_id}}",
        "您购买的“{tag}”资源包（{total}）已于 {delivered_at} 到账，有效期至 {expires_at}。",
    ),
    "package_low": _Template(
        "资源包余量预警：{tag} 剩余 {remaining}",
        "您的资源包剩余用量已不足 20%。请留意用量，并及时购买新的资源包。资源包全部用尽后，超出的用量按后付费计费；"
        "未开启后付费的，调用将被拒绝。\n\n"
        f"{_CHINESE_PACKAGE}",
        "您的“{tag}”资源包剩余 {remaining}（总量 {total}），已不足 20%，请及时购买新的资源包。",
    ),
    "package_exhausted": _Template(
        "资源包用尽通知：{tag}",
        "您的资源包已用尽。如该计费项没有其他可用的资源包，后续用量按后付费计费；未开启后付费的，调用将被拒绝。\n\n"
        f"{_CHINESE_PACKAGE}",
        "您的“{tag}”资源包（{total}）已用尽，后续用量将由其他资源包抵扣或按后付费计费，请及时购买新的资源包。",
    ),
    "package_expiring": _Template(
        "资源包到期提醒：{tag} 将于 {days}后到期",
        f"您的资源包将于 {{days}}后到期，到期后剩余用量将失效，请合理安排使用。\n\n{_CHINESE_PACKAGE}",
        "您的“{tag}”资源包将于 {expires_at} 到期，剩余 {remaining}，到期后剩余用量将失效。",
    ),
    "package_expired": _Template(
        "资源包到期通知：{tag}",
        f"您的资源包已到期，剩余用量已失效。\n\n{_CHINESE_PACKAGE}",
        "您的“{tag}”资源包已于 {expires_at} 到期，剩余 {remaining} 已失效。",
    ),
    "arrears": _Template(
        "欠费通知：请于 {stops_at} 前充值",
        "您的账户已于 {since} 欠费，余额为 {balance}。\n\n"
        "请尽快充值，使余额达到 0 元或以上；部分充值不会延后停服时间。届时仍欠费的：\n"
        "停服时间：{stops_at}\n"
        "释放时间：{releases_at}\n\n"
        "停服后调用将被拒绝；释放后剩余的资源包将失效，不可恢复。",
        "您的账户已于 {since} 欠费，余额 {balance}。请尽快充值，否则服务将于 {stops_at} 停止，于 {releases_at} 释放。",
    ),
    "stopped.arrears": _Template(
        "停服通知：服务已因欠费停止",
        "您的账户自 {since} 起欠费，余额为 {balance}，服务已于 {stops_at} 停止。\n\n"
        "停服期间调用将被拒绝，资源包暂停抵扣，有效期照常计算。充值使余额达到 0 元或以上后，服务立即恢复。\n\n"
        "释放时间：{releases_at}\n"
        "届时仍欠费的，服务将被释放，剩余的资源包将失效，不可恢复。",
        "您的账户自 {since} 起欠费，余额 {balance}，服务已于 {stops_at} 停止。"
        "请尽快充值，否则服务将于 {releases_at} 释放。",
    ),
    "stopped.violation": _Template(
        "停服通知：服务已因违规停止",
        "您的账户自 {since} 起处于违规状态，服务已于 {stops_at} 停止，账户余额为 {balance}。\n\n"
        "停服期间调用将被拒绝，也不能下单；资源包暂停抵扣，有效期照常计算。如有疑问，请联系客服。",
        "您的账户自 {since} 起处于违规状态，服务已于 {stops_at} 停止。如有疑问，请联系客服。",
    ),
    "resumed.arrears": _Template(
        "服务恢复通知：欠费已结清",
        "您的欠费已结清，服务已于 {resumed_at} 恢复，账户余额为 {balance}。感谢您的使用。",
        "您的欠费已结清，服务已于 {resumed_at} 恢复，账户余额 {balance}。",
    ),
    "resumed.violation": _Template(
        "服务恢复通知：违规停服已解除",
        "您的违规停服已解除，服务已于 {resumed_at} 恢复，账户余额为 {balance}。感谢您的使用。",
        "您的违规停服已解除，服务已于 {resumed_at} 恢复，账户余额 {balance}。",
    ),
    "released": _Template(
        "释放通知：服务已因欠费释放",
        "您的账户自 {since} 起欠费，服务已于 {stops_at} 停止，并已于 {releases_at} 释放，余额为 {balance}。\n\n"
        "剩余的资源包已失效，不可恢复。充值使余额达到 0 元或以上后，可以重新使用服务。",
        "您的账户自 {since} 起欠费，余额 {balance}，服务已于 {releases_at} 释放，剩余的资源包已失效。",
    ),
    "refund_completed": _Template(
        "退款完成通知：{amount}",
        "您的资源包退款已完成，款项已按原支付方式退回。\n\n"
        "退款金额：{amount}\n"
        "现金：{refunds_cash}\n"
        "收益转入：{refunds_income_transfer}\n"
        "赠送金：{refunds_gift}\n"
        "代金券支付部分（不退回）：{voucher_forfeited}\n"
        "资源包：{tag}\n"
        "资源包 ID：{package_id}\n"
        "退款单号：{refund_id}",
        "您的“{tag}”资源包退款 {amount} 已完成，款项已按原支付方式退回。",
    ),
    "balance_low": _Template(
        "余额不足预警：余额 {balance}",
        "您的账户余额可能不足以支付 3 天的费用。请及时充值，以免欠费影响服务。\n\n"
        "账户余额：{balance}\n"
        "未结算费用：{unsettled}\n"
        "{day} 的费用：{day_cost}",
        "您的账户余额 {balance}，未结算费用 {unsettled}，按 {day} 的费用 {day_cost} 估算，"
        "余额可能不足 3 天，请及时充值。",
    ),
    "daily_report": _Template(
        "用量日报：{day}，共 {total}",
        "{day} 的调用量共 {total}。\n\n按计费项：\n{by_tag}\n\n近 7 天趋势：{chart}\n{trend}\n\n资源包：\n{packages}",
    ),
    "webhook_disabled.failing": _Template(
        "Webhook 停用通知：{host}",
        "您的 Webhook 自 {since} 起持续投递失败，已被停用，不再接收通知。请检查接收地址，修复后重新添加。\n\n"
        "域名：{host}\n"
        "Webhook ID：{webhook_id}",
        "您的 Webhook（{host}）自 {since} 起持续投递失败，已被停用，请检查后重新添加。",
    ),
    "webhook_disabled.gone": _Template(
        "Webhook 停用通知：{host}",
        "您的 Webhook 的接收地址已于 {since} 表示不再接收通知（HTTP 410），因此已被停用。如仍需要，请重新添加。\n\n"
        "域名：{host}\n"
        "Webhook ID：{webhook_id}",
        "您的 Webhook（{host}）已于 {since} 表示不再接收通知，因此已被停用。如仍需要，请重新添加。",
    ),
}

_ENGLISH_PACKAGE = """\
Package: {tag}
Total: {total}
Remaining: {remaining}
Expires at: {expires_at}
Package ID: {package_id}"""

_ENGLISH_TEXTS = {
    "package_delivered": _Template(
        "Package delivered: {tag}, {total}",
        "The package that you bought has been delivered and is ready for use.\n\n"
        f"{_ENGLISH_PACKAGE}\n"
        "Delivered at: {delivered_at}\n"
        "Order ID: {order_id}",
        "Your package {tag} ({total}) was delivered at {delivered_at} and is valid until {expires_at}.",
    ),
    "package_low": _Template(
        "Package running low: {tag}, {remaining} left",
        "Less than 20% of your package is left. Please watch your usage and buy a new package in time. Once all"
        " packages are used up, further usage is charged postpaid, or refused where postpaid is off.\n\n"
        f"{_ENGLISH_PACKAGE}",
        "Less than 20% of your package {tag} is left: {remaining} of {total}. Please buy a new package in time.",
    ),
    "package_exhausted": _Template(
        "Package used up: {tag}",
        "Your package is used up. If you have no other package for this billing tag, further usage is charged postpaid,"
        " or refused where postpaid is off.\n\n"
        f"{_ENGLISH_PACKAGE}",
        "Your package {tag} ({total}) is used up. Further usage is taken from other packages or charged postpaid.",
    ),
    "package_expiring": _Template(
        "Package expires in {days}: {tag}",
        f"Your package expires in {{days}}. What is left of it then is forfeited.\n\n{_ENGLISH_PACKAGE}",
        "Your package {tag} expires at {expires_at} with {remaining} left, which are then forfeited.",
    ),
    "package_expired": _Template(
        "Package expired: {tag}",
        f"Your package has expired. What was left of it is forfeited.\n\n{_ENGLISH_PACKAGE}",
        "Your package {tag} expired at {expires_at}; the {remaining} left are forfeited.",
    ),
    "arrears": _Template(
        "Account in arrears: please top up before {stops_at}",
        "Your account has been in arrears since {since}. Its balance is {balance}.\n\n"
        "Please top up until the balance is zero or above; a part payment does not put off the stop. Otherwise:\n"
        "Service stops at: {stops_at}\n"
        "Service is released at: {releases_at}\n\n"
        "Once service has stopped, calls are refused. Once it is released, the remaining packages are forfeited for"
        " good.",
        "Your account has been in arrears since {since}; its balance is {balance}. Please top up, or service stops at"
        " {stops_at} and is released at {releases_at}.",
    ),
    "stopped.arrears": _Template(
        "Service stopped: account in arrears",
        "Your account has been in arrears since {since}. Its balance is {balance}. Service stopped at {stops_at}.\n\n"
        "While service is stopped, calls are refused, and packages are not deducted but keep their end. Service resumes"
        " at once when you top up to a balance of zero or above.\n\n"
        "Service is released at: {releases_at}\n"
        "If the account is still in arrears then, the remaining packages are forfeited for good.",
        "Your account has been in arrears since {since}; its balance is {balance}. Service stopped at {stops_at}."
        " Please top up, or it is released at {releases_at}.",
    ),
    "stopped.violation": _Template(
        "Service stopped: violation of the terms",
        "Your account has been in violation of the terms since {since}. Service stopped at {stops_at}. The balance is"
        " {balance}.\n\n"
        "While service is stopped, calls and orders are refused, and packages are not deducted but keep their end."
        " Please contact us if you have questions.",
        "Your account has been in violation of the terms since {since}. Service stopped at {stops_at}. Please"
        " contact us if you have questions.",
    ),
    "resumed.arrears": _Template(
        "Service resumed: arrears are settled",
        "Your arrears are settled. Service resumed at {resumed_at}. The balance is {balance}. Thank you.",
        "Your arrears are settled. Service resumed at {resumed_at}; the balance is {balance}.",
    ),
    "resumed.violation": _Template(
        "Service resumed: the stop for a violation is lifted",
        "The stop for a violation is lifted. Service resumed at {resumed_at}. The balance is {balance}. Thank you.",
        "The stop for a violation is lifted. Service resumed at {resumed_at}; the balance is {balance}.",
    ),
    "released": _Template(
        "Service released: account in arrears",
        "Your account has been in arrears since {since}. Service stopped at {stops_at} and was released at"
        " {releases_at}. The balance is {balance}.\n\n"
        "The remaining packages are forfeited for good. You can use the service again once you top up to a balance of"
        " zero or above.",
        "Your account has been in arrears since {since}; its balance is {balance}. Service was released at"
        " {releases_at}, and the remaining packages are forfeited.",
    ),
    "refund_completed": _Template(
        "Refund completed: {amount}",
        "The refund of your package is completed. Each amount went back to where it was paid from.\n\n"
        "Amount: {amount}\n"
        "Cash: {refunds_cash}\n"
        "Income transfer: {refunds_income_transfer}\n"
        "Gift: {refunds_gift}\n"
        "Paid by voucher (not refunded): {voucher_forfeited}\n"
        "Package: {tag}\n"
        "Package ID: {package_id}\n"
        "Refund ID: {refund_id}",
        "The refund of {amount} for your package {tag} is completed. Each amount went back to where it was paid from.",
    ),
    "balance_low": _Template(
        "Balance running low: {balance}",
        "Your balance may not last three days. Please top up in time, so that service is not interrupted.\n\n"
        "Balance: {balance}\n"
        "Charges not settled yet: {unsettled}\n"
        "Cost of {day}: {day_cost}",
        "Your balance of {balance}, with {unsettled} not settled yet, may not last three days at the cost of {day},"
        " {day_cost}. Please top up in time.",
    ),
    "daily_report": _Template(
        "Daily usage report: {day}, {total}",
        "Usage of {day}: {total}.\n\n"
        "By billing tag:\n{by_tag}\n\n"
        "Last 7 days: {chart}\n{trend}\n\n"
        "Packages:\n{packages}",
    ),
    "webhook_disabled.failing": _Template(
        "Webhook disabled: {host}",
        "Deliveries to your webhook have kept failing since {since}. It is disabled and receives no more notices."
        " Please check the endpoint and register it again.\n\n"
        "Host: {host}\n"
        "Webhook ID: {webhook_id}",
        "Deliveries to your webhook at {host} have kept failing since {since}; it is disabled. Please check it and"
        " register it again.",
    ),
    "webhook_disabled.gone": _Template(
        "Webhook disabled: {host}",
        "The endpoint of your webhook said at {since} that it is gone (HTTP 410), so the webhook is disabled. Please"
        " register it again if you still need it.\n\n"
        "Host: {host}\n"
        "Webhook ID: {webhook_id}",
        "Your webhook at {host} said at {since} that it is gone, so it is disabled. Please register it again if you"
        " still need it.",
    ),
}

_LANGUAGES = {
    CHINESE: _Language(
        money="{} 元",
        calls=lambda number: f"{number:,} 次",
        days=lambda number: f"{number} 天",
        remaining="剩余 {remaining} / {total} 次",
        expires="到期 {}",
        more_packages="另有 {} 个资源包未列出。",
        nothing="无",
        tag=_chinese_name,
        letter="尊敬的客户，您好：\n\n{body}\n\n"
        "账号：{account_id}\n通知编号：{notice_id}\n以上时间均为北京时间（UTC+8）。\n",
        templates=_CHINESE_TEXTS,
    ),
    ENGLISH: _Language(
        money="CNY {}",
        calls=lambda number: _plural(number, "call"),
        days=lambda number: _plural(number, "day"),
        remaining="{remaining} of {total} calls left",
        expires="expires {}",
        more_packages="{} more packages are not listed.",
        nothing="None",
        tag=_one_line,
        letter="Dear customer,\n\n{body}\n\n"
        "Account: {account_id}\nNotice: {notice_id}\nAll times are Beijing time (UTC+8).\n",
        templates=_ENGLISH_TEXTS,
    ),
}
