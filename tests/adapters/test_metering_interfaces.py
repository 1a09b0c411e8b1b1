"""The contract's table of interfaces, row by row: which tag a call counts under, and which results are charged."""

from __future__ import annotations

import pytest

from tests.adapters.steps import NOW, outcome, refusals, usage
from tests.support.product import Product, event

WECHAT = "0 2006 2016"
APP = "0 66660004 66660010"
FACE_API = "Success FailedOperation.IdNameMisMatch FailedOperation.CompareLowSimilarity"
PLUS = "0 1002 2006 2016"
PLUS_APP = "0 2006 2007 2009 2011 2012 2013 2014 2015 2016"

# Typed from the contract, not from the catalog's data: interfaces, library, tag, charged codes. In a row of `both`
# libraries `*` stands for the library.
ROWS = [
    ("plus.wechat_mini_program plus.wechat_native_h5", "both", "plus_*_wechat", PLUS),
    ("plus.wechat_float_h5", "both", "plus_*_float_h5", PLUS),
    ("plus.app_sdk", "both", "plus_*_app", PLUS_APP),
    ("enhanced.wechat_native_h5 enhanced.wechat_mini_program", "both", "enhanced_*_wechat", WECHAT),
    ("enhanced.app_sdk", "both", "enhanced_*_app", APP),
    ("enhanced.wechat_float_h5 enhanced.mobile_float_h5", "both", "enhanced_*_float_h5", WECHAT),
    ("basic.wechat_plain_h5", "both", "basic_*", WECHAT),
    ("basic.pc_h5 basic.app_sdk", "both", "basic_*", APP),
    ("api.liveness_recognition api.id_photo_verification", "authority", "basic_authority", FACE_API),
    ("api.liveness_compare", "uploaded", "basic_uploaded", FACE_API),
    ("api.id_card_verification api.id_card_ocr_verification", None, "identity_check", "0 -1"),
    ("api.id_name_date_check", None, "identity_validity_check", "0 -1"),
    ("api.bank_card_2e", None, "bank_card_check", "0 -1 -4 -5 -6 -7 -8 -9 -10 -11 -12 -13 -14 -15 -18"),
    ("api.bank_card_3e", None, "bank_card_check", "0 -1 -5 -6 -7 -8 -9 -10 -11 -12 -13 -14 -15 -16 -20"),
    ("api.bank_card_4e", None, "bank_card_check", "0 -1 -6 -7 -8 -9 -10 -11 -12 -13 -14 -15 -16 -17 -21"),
    ("api.bank_card_information", None, "bank_card_lookup", "0 -1 -5"),
    ("api.phone_tenure", None, "phone_tenure_status", "0 -2 -3"),
    ("api.phone_status", None, "phone_tenure_status", "0"),
    ("api.phone_2e", None, "phone_two_factor", "0 1"),
    ("api.phone_3e", None, "phone_three_factor_simple", "0 -4"),
    ("api.phone_3e mode=simple", None, "phone_three_factor_simple", "0 -4"),
    ("api.phone_3e mode=detailed", None, "phone_three_factor_detailed", "0 -4"),
    ("api.phone_3e_cmcc", None, "phone_three_factor_cmcc", "0 -4"),
    ("api.phone_3e_ctcc", None, "phone_three_factor_ctcc", "0 -4"),
    ("api.phone_3e_cucc", None, "phone_three_factor_cucc", "0 -4"),
    ("eid.mini_program", "authority", "eid_authority", WECHAT),
    ("eid.mini_program intention_verify=true", "authority", "intention_authority", WECHAT),
    ("intention.mini_program intention.h5", "both", "intention_*", WECHAT),
    ("nfc.server nfc.client", None, "nfc_document", "0"),
    ("ai_face_shield", None, "ai_face_shield", "Success"),
    ("api.photo_v2", "authority", "photo_v2", FACE_API),
    ("face_risk", None, "face_risk", "0"),
]
CODES = sorted({code for row in ROWS for code in row[3].split()})
NEVER_CHARGED = ["-99", "1", "00", "0.0", " 0", "0 ", "success", "SUCCESS", "66660011", "FailedOperation", "2005", "１"]


def cases() -> list[tuple[dict[str, object], str, str]]:
    """(data without a result, tag, charged codes) of every interface, library and variant."""
    found: list[tuple[dict[str, object], str, str]] = []
    for names, library, tag, charged in ROWS:
        interfaces = [name for name in names.split() if "=" not in name]
        extra: dict[str, object] = {}
        if "mode=" in names:
            extra["mode"] = names.partition("mode=")[2]
        if "intention_verify=" in names:
            extra["intention_verify"] = True
        for interface in interfaces:
            data: dict[str, object] = {"interface": interface, **extra}
            if library == "both":
                found += [
                    ({**data, "library": one}, tag.replace("*", one), charged) for one in ("authority", "uploaded")
                ]
            else:
                found.append((data, tag, charged))
                if library:
                    found.append(({**data, "library": library}, tag, charged))
    return found


@pytest.mark.parametrize("data, tag, charged", cases(), ids=[" ".join(map(str, case[0].values())) for case in cases()])
def test_a_row_of_the_table(metered: Product, data: dict[str, object], tag: str, charged: str) -> None:
    """Each charged code counts as a call of the tag, and every other code is counted as not chargeable (D6, D7)."""
    codes = [*CODES, *(code for code in NEVER_CHARGED if code not in CODES)]
    batch = [{**event("acct-1", code, NOW), "data": {**data, "result_code": code}} for code in codes]
    wanted = set(charged.split())
    assert outcome(metered.report(batch)) == {"accepted": len(wanted), "not_chargeable": len(codes) - len(wanted)}
    (row,) = usage(metered, by="tag")
    assert (row["tag"], row["calls"], row["not_chargeable"]) == (tag, len(wanted), len(codes) - len(wanted))
    shown = usage(metered, by="result_code")
    assert {row["result_code"] for row in shown if row["calls"]} == wanted
    assert [row["interface"] for row in usage(metered, by="interface")] == [data["interface"]]


@pytest.mark.parametrize(
    "data, library",
    [
        (data, library)
        for data in [case[0] for case in cases() if "library" not in case[0]]
        for library in ("authority", "uploaded")
        if not any({**data, "library": library} == case[0] for case in cases())
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value.values())),
)
def test_no_interface_takes_a_library_that_it_does_not_have(
    metered: Product, data: dict[str, object], library: str
) -> None:
    """A library that the table does not give an interface makes the event invalid."""
    bad = {**event("acct-1", "e-1", NOW), "data": {**data, "library": library, "result_code": "0"}}
    reply = metered.report([bad])
    assert refusals(reply) == [(0, "invalid_event")]


def test_every_tag_of_the_contract_can_be_metered() -> None:
    """The table leads to all 32 tags."""
    assert len({tag for _, tag, _ in cases()}) == 32


def test_liveness_recognition_and_identity_check_are_two_charges(metered: Product) -> None:
    """A recognition never includes the identity check: two events, two tags (D8)."""
    batch = [
        event("acct-1", "e-1", NOW, interface="api.liveness_recognition", code="Success"),
        event("acct-1", "e-2", NOW, interface="api.id_card_verification"),
    ]
    assert outcome(metered.report(batch)) == {"accepted": 2}
    assert [(row["tag"], row["calls"]) for row in usage(metered, by="tag")] == [
        ("basic_authority", 1),
        ("identity_check", 1),
    ]
