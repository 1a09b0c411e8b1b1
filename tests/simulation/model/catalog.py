"""The guide's tables: tags with their prices and packages, interfaces with their tags and charged codes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tests.simulation.steps import Call

K = 1_000

_SIZES = (1 * K, 10 * K, 100 * K, 200 * K, 500 * K, 1_000 * K)


def _packages(*prices: str) -> dict[int, Decimal]:
    return dict(zip(_SIZES, map(Decimal, prices), strict=False))


_PLUS_AUTHORITY = ("1.5", _packages("1500", "15000", "140000", "280000", "675000", "1300000"))
_PLUS_UPLOADED = ("0.6", _packages("600", "6000", "50000", "100000", "225000", "400000"))
_ENHANCED_AUTHORITY = ("1.2", _packages("1150", "11000", "100000", "180000", "400000", "800000"))
_ENHANCED_UPLOADED = ("0.3", _packages("280", "2700", "26000", "50000", "115000", "230000"))
_ONE_YUAN_FACE = ("1", _packages("930", "8000", "75000", "140000", "340000", "660000"))
_EID_PACKAGES = {
    1 * K: Decimal(1400),
    5 * K: Decimal(6500),
    10 * K: Decimal(12000),
    100 * K: Decimal(100000),
    500 * K: Decimal(450000),
    1_000 * K: Decimal(800000),
}

GUIDE: Mapping[str, tuple[str, dict[int, Decimal]]] = {
    "plus_authority_wechat": _PLUS_AUTHORITY,
    "plus_authority_float_h5": _PLUS_AUTHORITY,
    "plus_authority_app": _PLUS_AUTHORITY,
    "plus_uploaded_wechat": _PLUS_UPLOADED,
    "plus_uploaded_float_h5": _PLUS_UPLOADED,
    "plus_uploaded_app": _PLUS_UPLOADED,
    "enhanced_authority_wechat": _ENHANCED_AUTHORITY,
    "enhanced_authority_float_h5": _ENHANCED_AUTHORITY,
    "enhanced_authority_app": _ENHANCED_AUTHORITY,
    "enhanced_uploaded_wechat": _ENHANCED_UPLOADED,
    "enhanced_uploaded_float_h5": _ENHANCED_UPLOADED,
    "enhanced_uploaded_app": _ENHANCED_UPLOADED,
    "basic_authority": _ONE_YUAN_FACE,
    "basic_uploaded": ("0.15", _packages("145", "1200", "11500", "22000", "52500", "100000")),
    "identity_check": ("0.3", _packages("300", "2800", "26000", "48000", "115000", "220000")),
    "identity_validity_check": ("1.8", _packages("1500", "14000", "130000", "240000", "550000", "1000000")),
    "bank_card_check": ("0.6", _packages("580", "5600", "54000", "104000")),
    "bank_card_lookup": ("0.3", _packages("280", "2700", "26000", "36000")),
    "phone_tenure_status": ("0.4", _packages("380", "3800", "37000", "72000")),
    "phone_two_factor": ("0.4", _packages("380", "3700", "36000", "70000")),
    "phone_three_factor_simple": ("1.1", _packages("1050", "10000", "95000", "180000")),
    "phone_three_factor_detailed": ("1.2", _packages("1100", "10500", "100000", "190000")),
    "phone_three_factor_cmcc": ("1.3", _packages("1250", "12000", "115000", "220000")),
    "phone_three_factor_ctcc": ("0.7", _packages("650", "6000", "55000", "100000")),
    "phone_three_factor_cucc": ("0.7", _packages("650", "6000", "55000", "100000")),
    "eid_authority": ("1.5", _EID_PACKAGES),
    "intention_authority": ("1.5", _packages("1450", "14400", "142000", "280000", "690000", "1350000")),
    "intention_uploaded": ("0.8", _packages("730", "7200", "71000", "138000", "335000", "650000")),
    "nfc_document": ("1.0", {}),
    "ai_face_shield": ("1.2", _packages("1200", "11500", "110000", "210000", "500000", "950000")),
    "photo_v2": _ONE_YUAN_FACE,
    "face_risk": ("0.0035", {}),
}
"""By tag: the price of a call, and packages by their calls."""

_STEPS = (0, 1 * K, 10 * K, 100 * K)
MONTHLY: Mapping[str, tuple[tuple[int, Decimal], ...]] = {
    tag: tuple(zip(_STEPS, map(Decimal, prices.split()), strict=True))
    for tag, prices in {
        "identity_check": "0.30 0.30 0.28 0.26",
        "bank_card_check": "0.40 0.38 0.36 0.34",
        "phone_tenure_status": "0.40 0.38 0.36 0.36",
        "phone_two_factor": "0.40 0.38 0.37 0.36",
        "bank_card_lookup": "0.30 0.30 0.30 0.20",
    }.items()
}
"""The monthly list: (from calls, price) of the five tags that have steps."""

FREE_CALLS = 100
FREE_AT_OPENING = (
    "enhanced_authority_wechat",
    "enhanced_uploaded_wechat",
    "enhanced_authority_app",
    "enhanced_uploaded_app",
    "enhanced_authority_float_h5",
    "enhanced_uploaded_float_h5",
    "basic_authority",
    "basic_uploaded",
)

_WECHAT = {"0", "2006", "2016"}
_PLUS = {"0", "1002", "2006", "2016"}
_SDK = {"0", "66660004", "66660010"}
_PLUS_SDK = {"0", "2006", "2007", "2009", "2011", "2012", "2013", "2014", "2015", "2016"}
_FACE = {"Success", "FailedOperation.IdNameMisMatch", "FailedOperation.CompareLowSimilarity"}


def _codes(first: int, last: int, *others: int) -> set[str]:
    return {"0", "-1", *(str(-one) for one in range(first, last + 1)), *(str(-one) for one in others)}


class Interface(NamedTuple):
    """How calls of an interface are charged; `{}` in a tag stands for the library."""

    tag: str
    libraries: tuple[str, ...]
    codes: set[str]


_BOTH = ("authority", "uploaded")
_ONE = ("authority",)

INTERFACES: Mapping[str, Interface] = {
    "plus.wechat_mini_program": Interface("plus_{}_wechat", _BOTH, _PLUS),
    "plus.wechat_native_h5": Interface("plus_{}_wechat", _BOTH, _PLUS),
    "plus.wechat_float_h5": Interface("plus_{}_float_h5", _BOTH, _PLUS),
    "plus.app_sdk": Interface("plus_{}_app", _BOTH, _PLUS_SDK),
    "enhanced.wechat_native_h5": Interface("enhanced_{}_wechat", _BOTH, _WECHAT),
    "enhanced.wechat_mini_program": Interface("enhanced_{}_wechat", _BOTH, _WECHAT),
    "enhanced.app_sdk": Interface("enhanced_{}_app", _BOTH, _SDK),
    "enhanced.wechat_float_h5": Interface("enhanced_{}_float_h5", _BOTH, _WECHAT),
    "enhanced.mobile_float_h5": Interface("enhanced_{}_float_h5", _BOTH, _WECHAT),
    "basic.wechat_plain_h5": Interface("basic_{}", _BOTH, _WECHAT),
    "basic.pc_h5": Interface("basic_{}", _BOTH, _SDK),
    "basic.app_sdk": Interface("basic_{}", _BOTH, _SDK),
    "api.liveness_recognition": Interface("basic_authority", _ONE, _FACE),
    "api.id_photo_verification": Interface("basic_authority", _ONE, _FACE),
    "api.liveness_compare": Interface("basic_uploaded", ("uploaded",), _FACE),
    "api.id_card_verification": Interface("identity_check", (), {"0", "-1"}),
    "api.id_card_ocr_verification": Interface("identity_check", (), {"0", "-1"}),
    "api.id_name_date_check": Interface("identity_validity_check", (), {"0", "-1"}),
    "api.bank_card_2e": Interface("bank_card_check", (), _codes(4, 15, 18)),
    "api.bank_card_3e": Interface("bank_card_check", (), _codes(5, 16, 20)),
    "api.bank_card_4e": Interface("bank_card_check", (), _codes(6, 17, 21)),
    "api.bank_card_information": Interface("bank_card_lookup", (), {"0", "-1", "-5"}),
    "api.phone_tenure": Interface("phone_tenure_status", (), {"0", "-2", "-3"}),
    "api.phone_status": Interface("phone_tenure_status", (), {"0"}),
    "api.phone_2e": Interface("phone_two_factor", (), {"0", "1"}),
    "api.phone_3e": Interface("phone_three_factor_{}", (), {"0", "-4"}),
    "api.phone_3e_cmcc": Interface("phone_three_factor_cmcc", (), {"0", "-4"}),
    "api.phone_3e_ctcc": Interface("phone_three_factor_ctcc", (), {"0", "-4"}),
    "api.phone_3e_cucc": Interface("phone_three_factor_cucc", (), {"0", "-4"}),
    "eid.mini_program": Interface("eid_authority", _ONE, _WECHAT),
    "intention.mini_program": Interface("intention_{}", _BOTH, _WECHAT),
    "intention.h5": Interface("intention_{}", _BOTH, _WECHAT),
    "nfc.server": Interface("nfc_document", (), {"0"}),
    "nfc.client": Interface("nfc_document", (), {"0"}),
    "ai_face_shield": Interface("ai_face_shield", (), {"Success"}),
    "api.photo_v2": Interface("photo_v2", _ONE, _FACE),
    "face_risk": Interface("face_risk", (), {"0"}),
}

Data = tuple[str, str, str, str, bool, str]
"""What an event says, after defaults: interface, result code, library, mode, intention, sub-account."""


class Meaning(NamedTuple):
    """What a call is charged as."""

    tag: str
    charged: bool
    data: Data


def meaning(call: Call) -> Meaning | str:
    """What a call is charged as, or the code that rejects it for its data (D6, D7)."""
    fields = dict(call.fields)
    known = INTERFACES.get(call.interface)
    if set(fields) - {"library", "mode", "intention_verify", "sub_account"}:
        return "invalid_event"
    if known is None:
        return "unknown_interface"
    library, mode = fields.get("library"), fields.get("mode")
    intention, sub_account = fields.get("intention_verify"), fields.get("sub_account")
    wrong = (
        (library is not None and library not in known.libraries)
        or (mode is not None and (call.interface != "api.phone_3e" or mode not in {"simple", "detailed"}))
        or (intention is not None and (call.interface != "eid.mini_program" or not isinstance(intention, bool)))
        or not isinstance(sub_account, str | None)
    )
    if wrong:
        return "invalid_event"
    if library is None and len(known.libraries) > 1:
        return "library_required"
    chosen = str(library or (known.libraries or ("",))[0])
    tag = known.tag.format(chosen)
    if call.interface == "api.phone_3e":
        mode = mode or "simple"
        tag = f"phone_three_factor_{mode}"
    if intention:
        tag = "intention_authority"
    data = (call.interface, call.result_code, chosen, str(mode or ""), bool(intention), str(sub_account or ""))
    return Meaning(tag, call.result_code in known.codes, data)
