"""One bad event never harms its neighbours and leaves no trace (contract, Metering; issue 2, bad input)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.adapters.steps import NOW, at, empty, outcome, post_usage, refusals, tables
from tests.support.product import Product, Reply, event

MISSING: Any = object()
SUB_SECOND = "2025-03-01T02:00:00.5Z"


def changed(**fields: Any) -> str:
    """An event with other attributes; MISSING leaves one out."""
    whole = {**event("acct-1", "bad", NOW), **fields}
    return json.dumps({name: value for name, value in whole.items() if value is not MISSING})


def with_data(**fields: Any) -> str:
    """An event with other data; MISSING leaves one out."""
    data = {"interface": "api.phone_2e", "result_code": "0", **fields}
    return changed(data={name: value for name, value in data.items() if value is not MISSING})


def wrong_attributes() -> Iterator[tuple[str, str]]:
    """Every attribute that an event must have, left out and as everything that it must not be."""
    for name in ("specversion", "id", "source", "type", "subject", "time", "data"):
        for label, value in (("left out", MISSING), ("null", None), ("a number", 1), ("a bool", True), ("a list", [])):
            yield f"{name} {label}", changed(**{name: value})
    for name in ("specversion", "id", "source", "type", "subject", "time"):
        yield f"{name} an object", changed(**{name: {"a": 1}})
        yield f"{name} empty", changed(**{name: ""})
        yield f"{name} a lone surrogate", changed(**{name: "\ud800"})
    for name in ("id", "source"):
        yield f"{name} of 257 characters", changed(**{name: "x" * 257})
        yield f"{name} of 10,000 characters", changed(**{name: "x" * 10_000})
        yield f"{name} of 257 emoji", changed(**{name: "🀄" * 257})
        yield f"{name} with half of a pair", changed(**{name: "ok \udfff ok"})
    for version in ("0.3", "1", "1.0.0", "2.0", " 1.0"):
        yield f"specversion {version}", changed(specversion=version)
    yield "data a text", changed(data='{"interface":"face_risk","result_code":"0"}')
    yield "data in base64", changed(data=MISSING, data_base64="e30=")


def wrong_data() -> Iterator[tuple[str, str]]:
    """Everything that data must not hold."""
    for name in ("interface", "result_code"):
        for label, value in (("left out", MISSING), ("null", None), ("a bool", False), ("a list", ["0"])):
            yield f"{name} {label}", with_data(**{name: value})
    yield "result_code a number", with_data(result_code=0)
    yield "interface a number", with_data(interface=1)
    for name in ("library", "mode", "sub_account"):
        for label, value in (("a number", 1), ("a bool", True), ("a list", []), ("an object", {})):
            yield f"{name} {label}", with_data(**{name: value})
    for label, value in (("a number", 1), ("zero", 0), ("a text", "true"), ("a list", [])):
        yield (
            f"intention_verify {label}",
            with_data(interface="eid.mini_program", result_code="0", intention_verify=value),
        )
    for name in ("interface", "result_code", "library", "mode", "sub_account"):
        yield f"{name} a lone surrogate", with_data(**{name: "\udc00"})
    for name in ("tag", "Interface", "result", "unit_price", "quantity", "library ", "", "__proto__", "账"):
        yield f"unknown key {name!r}", with_data(**{name: None})
    yield "a library that the interface has not", with_data(library="authority")
    yield "a library that does not exist", with_data(interface="plus.app_sdk", library="commercial")
    yield "a library in capitals", with_data(interface="plus.app_sdk", library="AUTHORITY")
    yield "the wrong one of two libraries", with_data(interface="api.liveness_compare", library="authority")
    yield "an uploaded photo with eID", with_data(interface="eid.mini_program", library="uploaded")
    yield "a mode that the interface has not", with_data(mode="simple")
    yield "a mode that does not exist", with_data(interface="api.phone_3e", mode="full")
    yield "a mode of a carrier's interface", with_data(interface="api.phone_3e_cmcc", mode="detailed")
    yield "an intention that the interface has not", with_data(intention_verify=False)
    yield "an intention in an intention interface", with_data(interface="intention.h5", intention_verify=True)


def wrong_json() -> Iterator[tuple[str, str]]:
    """Values that are no objects, and objects of which no one can say what was meant."""
    for text in ("5", '"x"', "null", "true", "[]", "{}", "1.5e3", "[[]]", "-0", '"' + "x" * 10_000 + '"'):
        yield f"value {text[:12]}", text
    whole = changed()
    yield "id twice", whole.replace('"id": "bad"', '"id": "bad", "id": "worse"')
    yield "id twice, the same", whole.replace('"id": "bad"', '"id": "bad", "id": "bad"')
    yield "id twice, once escaped", whole.replace('"id": "bad"', '"id": "bad", "\\u0069d": "bad"')
    yield "a result twice", whole.replace('"result_code": "0"', '"result_code": "0", "result_code": "-2"')
    yield "data twice", whole[:-1] + ', "data": {"interface": "face_risk", "result_code": "0"}}'
    for digits in (4300, 5000, 100_000):
        yield f"a number of {digits} digits", "9" * digits
        yield f"an id of {digits} digits", changed(id=MISSING)[:-1] + f', "id": {"9" * digits}}}'
        yield f"a code of {digits} digits", whole.replace('"result_code": "0"', f'"result_code": -{"9" * digits}')
    yield "900 brackets", "[" * 900 + "]" * 900
    yield "900 brackets as data", changed(data=MISSING)[:-1] + ', "data": ' + "[" * 900 + "]" * 900 + "}"


WRONG_TIMES = {
    "a word": "now",
    "epoch seconds": "1740794400",
    "no zone": "2025-03-01T10:00:00",
    "no time": "2025-03-01",
    "no seconds": "2025-03-01T10:00Z",
    "a space for T": "2025-03-01 10:00:00Z",
    "basic format": "20250301T100000Z",
    "a week date": "2025-W09-6T10:00:00Z",
    "a comma": "2025-03-01T10:00:00,5Z",
    "an empty fraction": "2025-03-01T10:00:00.Z",
    "no colon in the offset": "2025-03-01T10:00:00+0800",
    "an offset of hours": "2025-03-01T10:00:00+08",
    "an offset of a day": "2025-03-01T10:00:00+24:00",
    "an offset of 60 minutes": "2025-03-01T10:00:00+07:60",
    "an offset with seconds": "2025-03-01T10:00:00+08:00:00",
    "a zone name": "2025-03-01T10:00:00 Asia/Shanghai",
    "both zones": "2025-03-01T10:00:00Z+08:00",
    "a leap second": "2016-12-31T23:59:60Z",
    "a made-up leap second": "2025-03-01T09:59:60+08:00",
    "24:00": "2025-02-28T24:00:00+08:00",
    "25:00": "2025-03-01T25:00:00Z",
    "minute 60": "2025-03-01T09:60:00Z",
    "month 13": "2025-13-01T10:00:00Z",
    "month 00": "2025-00-01T10:00:00Z",
    "30 February": "2025-02-30T10:00:00Z",
    "29 February of no leap year": "2025-02-29T10:00:00+08:00",
    "year 0000": "0000-01-01T00:00:00Z",
    "a year of two digits": "25-03-01T10:00:00Z",
    "a year of five digits": "12025-03-01T10:00:00Z",
    "a negative year": "-2025-03-01T10:00:00Z",
    "before the first year": "0001-01-01T00:00:00+08:00",
    "after the last year": "9999-12-31T23:59:59-08:00",
    "a space before": " 2025-03-01T10:00:00+08:00",
    "a space after": "2025-03-01T10:00:00+08:00 ",
    "a line break after": "2025-03-01T10:00:00+08:00\n",
    "full-width digits": "２０２５-03-01T10:00:00+08:00",
    "Arabic digits": "٢٠٢٥-03-01T10:00:00Z",
    "a typographic minus": "2025-03-01T10:00:00\u221208:00",
    "10,000 characters": "2025-03-01T10:00:00." + "0" * 10_000 + "+08:00",
}
UNKNOWN_INTERFACES = [
    "plus",
    "identity_check",
    "API.phone_2e",
    "api.phone_2e ",
    " api.phone_2e",
    "api.phone_2E",
    "api.phone_2e\u0000",
    "аpi.phone_2e",  # the first letter is Cyrillic
    "api.phone_3e_detailed",
    "basic.wechat_float_h5",
    "'; DROP TABLE usage; --",
    "../face_risk",
    "\u202eksir_ecaf",
]
UNKNOWN_ACCOUNTS = [
    "acct-2",
    "ACCT-1",
    "acct-1 ",
    "acct-1\u0000",
    "acct-1#days",
    "A#acct-1",
    "acct-1#20250301",
    "sandbox",
    "acct-1' OR '1'='1",
    '"; DROP TABLE accounts; --',
    "../acct-1",
    "acct\u20111",
    "账户🀄",
    "\u202eacct-1",
    "x" * 256,
]
CASES = [
    *((label, text, "invalid_event") for label, text in [*wrong_attributes(), *wrong_data(), *wrong_json()]),
    *((f"time {label}", changed(time=time), "invalid_event") for label, time in WRONG_TIMES.items()),
    *((f"interface {name!r}", with_data(interface=name), "unknown_interface") for name in UNKNOWN_INTERFACES),
    *((f"subject {name[:30]!r}", changed(subject=name), "unknown_account") for name in UNKNOWN_ACCOUNTS),
    ("subject not opened", changed(subject="closed"), "account_not_open"),
    ("subject under review", changed(subject="reviewed"), "account_not_open"),
    ("subject rejected", changed(subject="rejected"), "account_not_open"),
    ("time a second before opening", changed(time="2025-02-19T23:59:59+08:00"), "before_opening"),
    ("time in the first year", changed(time="0001-01-01T00:00:00Z"), "before_opening"),
    ("time 35 days and a second ago", changed(subject="old", time="2025-01-25T09:59:59+08:00"), "time_too_old"),
    ("time of an old year", changed(subject="old", time="2024-03-01T10:00:00+08:00"), "time_too_old"),
    ("time 5 minutes and a second ahead", changed(time="2025-03-01T10:05:01+08:00"), "time_in_future"),
    ("time in the last year", changed(time="9999-12-31T23:59:59Z"), "time_in_future"),
]
LIBRARY_NEEDED = [
    "plus.wechat_mini_program",
    "plus.wechat_native_h5",
    "plus.wechat_float_h5",
    "plus.app_sdk",
    "enhanced.wechat_native_h5",
    "enhanced.wechat_mini_program",
    "enhanced.app_sdk",
    "enhanced.wechat_float_h5",
    "enhanced.mobile_float_h5",
    "basic.wechat_plain_h5",
    "basic.pc_h5",
    "basic.app_sdk",
    "intention.mini_program",
    "intention.h5",
]


def accounts(product: Product) -> None:
    """Accounts in every state that matters to metering."""
    empty(product)
    product.open_account("acct-1", opened_at="2025-02-20T00:00:00+08:00")
    product.open_account("old", opened_at="2023-06-01T00:00:00+08:00")
    for account_id in ("closed", "reviewed", "rejected"):
        product.request("POST", "/v1/accounts", {"account_id": account_id, "name": "Example"})
        service = f"/v1/accounts/{account_id}/service"
        if account_id != "closed":
            product.request("POST", f"{service}/application", {"purpose": "checks"})
        if account_id == "rejected":
            product.request("POST", f"{service}/rejection", {"reason": "no licence"})


def neighbours() -> list[dict[str, Any]]:
    """Good events around a bad one: of the same second, source and account."""
    return [
        event("acct-1", "good-1", NOW),
        event("acct-1", "good-2", NOW, code="-2"),
        event("old", "good-3", SUB_SECOND),
    ]


@dataclass
class Kept:
    """The good events stored, once for all cases, and the tables as they are then."""

    product: Product
    clean: Mapping[str, list[str]] = field(default_factory=dict)
    sound: bool = False
    """Whether the last case left everything as it was."""

    def ready(self) -> Kept:
        """As clean as at first."""
        if not self.sound:
            accounts(self.product)
            assert outcome(self.product.report(neighbours())) == {"accepted": 2, "not_chargeable": 1}
            self.clean = tables(self.product)
        return self

    def send_among_good(self, bad: str) -> Reply:
        """A bad event between the good ones, sent again: nothing may change."""
        self.sound = False
        first, *others = [json.dumps(one) for one in neighbours()]
        reply = post_usage(self.product, f"[{first},{bad},{','.join(others)}]")
        assert tables(self.product) == self.clean
        self.sound = True
        return reply


@pytest.fixture(scope="module")
def everything_kept(cloud: Product) -> Kept:
    """Shared by the cases."""
    return Kept(cloud)


@pytest.fixture
def kept(everything_kept: Kept) -> Kept:
    """The good events stored, and nothing else."""
    return everything_kept.ready()


@pytest.mark.parametrize("bad, code", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_bad_event_stands_alone(kept: Kept, bad: str, code: str) -> None:
    """A bad event has its stable code; with it or without it, its neighbours and all tables are the same."""
    reply = kept.send_among_good(bad)
    assert outcome(reply) == {"duplicate": 3, "rejected": 1}
    assert refusals(reply) == [(1, code)]


@pytest.mark.parametrize("interface", LIBRARY_NEEDED)
def test_a_library_is_required_where_two_are_possible(kept: Kept, interface: str) -> None:
    """Left out or null, the library of an interface that has two is missing."""
    for data in ({"interface": interface}, {"interface": interface, "library": None}):
        reply = kept.send_among_good(with_data(**data))
        assert refusals(reply) == [(1, "library_required")]


def test_bad_events_of_every_kind_at_once(kept: Kept) -> None:
    """All bad events in one batch are refused each for itself, and the good ones among them are stored as alone."""
    product = kept.product
    kept.sound = False
    accounts(product)
    good = [json.dumps(one) for one in neighbours()]
    bad = [case[1] for case in CASES]
    third = len(bad) // 3
    texts = [good[0], *bad[:third], good[1], *bad[third:], good[2]]
    reply = product.report(f"[{','.join(texts)}]")
    assert outcome(reply) == {"accepted": 2, "not_chargeable": 1, "rejected": len(bad)}
    expected = [case[2] for case in CASES]
    assert [code for _, code in refusals(reply)] == expected
    assert [index for index, _ in refusals(reply)] == [
        index for index in range(len(texts)) if index not in {0, third + 1, len(texts) - 1}
    ]
    assert tables(product) == kept.clean


@pytest.mark.parametrize(
    "text",
    ["x" * 257, "x" * 10_000, "账" * 300],
    ids=["257 characters", "10,000 characters", "300 Chinese characters"],
)
def test_a_subject_or_interface_longer_than_any_is_refused(metered: Product, text: str) -> None:
    """An absurdly long account or interface is refused for itself, whichever code says so best."""
    before = tables(metered)
    reply = metered.report(f"[{changed(subject=text)},{with_data(interface=text)},{with_data(interface='')}]")
    assert outcome(reply) == {"rejected": 3}
    (_, subject), (_, interface), (_, none) = refusals(reply)
    assert subject in {"invalid_event", "unknown_account"}
    assert {interface, none} <= {"invalid_event", "unknown_interface"}
    assert tables(metered) == before


STRANGE = [
    "'; DROP TABLE usage; --",
    "1 OR 1=1",
    "{{7*7}}${7*7}",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "a#b#c",
    "#",
    "0",
    "null",
    "None",
    "true",
    " ",
    "\t\r\n",
    "\u0000",
    "\u0000\u0000",
    "a\u0000b",
    "\u202etxet",
    "🀄🀄🀄",
    "👩‍👩‍👧‍👦",
    "é",
    "e\u0301",
    "ﬁ",
    "fi",
    "\ufeff",
    "\uffff",
    "\U0010ffff",
    "账单",
]


@pytest.mark.parametrize("attribute", ["id", "source"])
def test_strange_names_are_names(metered: Product, attribute: str) -> None:
    """Whatever text an id or a source is, it is taken as it is: no two are mistaken for each other, nor normalized."""
    names = [*STRANGE, "x" * 256, "🀄" * 256, "x" * 255]
    batch = [{**event("acct-1", "same", NOW), attribute: name} for name in names]
    assert outcome(metered.report(batch)) == {"accepted": len(names)}
    assert outcome(metered.report(batch)) == {"duplicate": len(names)}
    assert metered.get("/v1/accounts/acct-1/usage").body["items"][0]["calls"] == len(names)


def test_strange_sub_accounts_and_codes_are_shown_as_they_were_given(metered: Product) -> None:
    """Sub-accounts and result codes may be any text, and come back as the same text."""
    batch = [event("acct-1", f"e-{n}", NOW, code=name, sub_account=name) for n, name in enumerate(STRANGE)]
    charged = sum(name == "0" for name in STRANGE)
    assert outcome(metered.report(batch)) == {"accepted": charged, "not_chargeable": len(STRANGE) - charged}
    for by in ("sub_account", "result_code"):
        items = metered.get("/v1/accounts/acct-1/usage", by=by).body["items"]
        assert sorted(item[by] for item in items) == sorted(STRANGE)


def test_extension_attributes_are_ignored(metered: Product) -> None:
    """What CloudEvents allows besides is neither looked at nor part of the event's identity or data."""
    plain = event("acct-1", "e-1", NOW)
    extended = {
        **plain,
        "datacontenttype": "application/json",
        "dataschema": "https://example.com/schema",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "sequence": 7,
        "partitionkey": None,
        "账": {"a": [1, 2, {"b": None}]},
        "ID": "another",
        "huge": 1e300,
    }
    assert outcome(metered.report([extended])) == {"accepted": 1}
    assert outcome(metered.report([plain, {**plain, "datacontenttype": 5}])) == {"duplicate": 2}
    far = json.dumps(plain)[:-1] + ', "far": 1e400, "long": ' + "9" * 5000 + "}"
    assert outcome(metered.report(f"[{far}]")) == {"duplicate": 1}


def test_usage_of_a_moment_ago_is_refused_by_no_rounding(metered: Product) -> None:
    """Now itself, with or without a fraction of a second, is neither past nor future."""
    metered.now = at("2025-03-01T10:00:00.999999+08:00")
    batch = [event("acct-1", f"e-{n}", f"2025-03-01T10:00:0{n}.5+08:00") for n in range(10)]
    assert outcome(metered.report(batch)) == {"accepted": 10}
