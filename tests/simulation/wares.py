"""What simulated customers call and buy: some tags of every kind, with the codes that calls of them end with."""

from __future__ import annotations

from typing import NamedTuple

_FACE = ("Success", "FailedOperation.IdNameMisMatch", "FailedOperation.CompareLowSimilarity", "FailedOperation.Unknown")
_WECHAT = ("0", "0", "2006", "2016", "1002")
_PC = ("0", "66660004", "66660010", "2006")
_AUTHORITY, _UPLOADED = ("library", "authority"), ("library", "uploaded")


class Ware(NamedTuple):
    """One way to make a call: what is called, the other data of its event, the codes that it may end with."""

    interface: str
    fields: tuple[tuple[str, str | bool], ...]
    codes: tuple[str, ...]


WARES: dict[str, tuple[Ware, ...]] = {
    "identity_check": (
        Ware("api.id_card_verification", (), ("0", "0", "-1", "-2")),
        Ware("api.id_card_ocr_verification", (), ("0", "-1", "-5")),
    ),
    "bank_card_check": (
        Ware("api.bank_card_2e", (), ("0", "-1", "-4", "-18", "-2", "-16")),
        Ware("api.bank_card_3e", (), ("0", "-5", "-20", "-4", "-18")),
    ),
    "phone_two_factor": (Ware("api.phone_2e", (), ("0", "1", "-1")),),
    "phone_three_factor_simple": (
        Ware("api.phone_3e", (), ("0", "-4", "-1")),
        Ware("api.phone_3e", (("mode", "simple"),), ("0", "-4", "-2")),
    ),
    "phone_three_factor_detailed": (Ware("api.phone_3e", (("mode", "detailed"),), ("0", "-4", "-1")),),
    "basic_authority": (
        Ware("basic.wechat_plain_h5", (_AUTHORITY,), _WECHAT),
        Ware("basic.pc_h5", (_AUTHORITY,), _PC),
        Ware("api.liveness_recognition", (), _FACE),
    ),
    "basic_uploaded": (
        Ware("basic.wechat_plain_h5", (_UPLOADED,), _WECHAT),
        Ware("api.liveness_compare", (), _FACE),
    ),
    "enhanced_authority_wechat": (Ware("enhanced.wechat_mini_program", (_AUTHORITY,), _WECHAT),),
    "enhanced_uploaded_wechat": (Ware("enhanced.wechat_native_h5", (_UPLOADED,), _WECHAT),),
    "plus_authority_wechat": (Ware("plus.wechat_native_h5", (_AUTHORITY,), _WECHAT),),
    "eid_authority": (
        Ware("eid.mini_program", (), _WECHAT),
        Ware("eid.mini_program", (("intention_verify", False),), _WECHAT),
    ),
    "intention_authority": (Ware("eid.mini_program", (("intention_verify", True),), _WECHAT),),
    "photo_v2": (Ware("api.photo_v2", (), _FACE),),
    "face_risk": (Ware("face_risk", (), ("0", "1")),),
}
"""By tag. 1002 is charged on Plus alone (D6), so where it is among the codes of others it is not."""

PLAIN = ("identity_check", "bank_card_check", "phone_two_factor", "phone_three_factor_simple")
"""Of these there are no free packages, so that others are bought and usage is charged."""
TIERED = ("identity_check", "bank_card_check", "phone_two_factor")
"""Tags whose price on the monthly list goes by tiers (D19)."""
WITH_FREE = ("basic_authority", "basic_uploaded", "enhanced_authority_wechat", "enhanced_uploaded_wechat", "photo_v2")
"""Tags with free packages for who opens first (D13)."""
EID = ("eid_authority", "intention_authority")

OFFERS: dict[str, tuple[tuple[int, str], ...]] = {
    "identity_check": ((5, "1.40"), (20, "5.31"), (60, "15.00")),
    "bank_card_check": ((4, "2.33"), (25, "13.00")),
    "phone_two_factor": ((4, "1.50"), (10, "3.70"), (30, "10.01")),
    "phone_three_factor_simple": ((3, "3.10"), (12, "12.00")),
    "phone_three_factor_detailed": ((7, "8.00"),),
    "basic_authority": ((6, "5.80"), (40, "33.33")),
    "basic_uploaded": ((15, "2.00"),),
    "enhanced_authority_wechat": ((5, "5.90"), (30, "34.00")),
    "enhanced_uploaded_wechat": ((10, "2.70"),),
    "plus_authority_wechat": ((3, "4.40"), (9, "13.00")),
    "eid_authority": ((5, "7.00"), (20, "27.00")),
    "intention_authority": ((6, "8.50"),),
    "photo_v2": ((8, "7.00"),),
}
"""Packages that are small enough to be used up, (calls, price), on sale from the first day in place of the usual."""
