"""The data files against the purchase guide and the contract, typed here a second time from the texts."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

import rating.catalog
from rating.catalog import load

DAY = date(2025, 3, 1)
DATA = Path(rating.catalog.__file__).with_name("data")

SIX = (1_000, 10_000, 100_000, 200_000, 500_000, 1_000_000)
FOUR = (1_000, 10_000, 100_000, 200_000)

# Code, postpaid price of a call and the prices of the packages, in the order of the guide's price tables.
GUIDE = """
plus_authority_wechat       | 1.5    | 1500 15000 140000 280000 675000 1300000
plus_uploaded_wechat        | 0.6    | 600 6000 50000 100000 225000 400000
plus_authority_float_h5     | 1.5    | 1500 15000 140000 280000 675000 1300000
plus_uploaded_float_h5      | 0.6    | 600 6000 50000 100000 225000 400000
plus_authority_app          | 1.5    | 1500 15000 140000 280000 675000 1300000
plus_uploaded_app           | 0.6    | 600 6000 50000 100000 225000 400000
enhanced_authority_wechat   | 1.2    | 1150 11000 100000 180000 400000 800000
enhanced_uploaded_wechat    | 0.3    | 280 2700 26000 50000 115000 230000
enhanced_authority_app      | 1.2    | 1150 11000 100000 180000 400000 800000
enhanced_uploaded_app       | 0.3    | 280 2700 26000 50000 115000 230000
enhanced_authority_float_h5 | 1.2    | 1150 11000 100000 180000 400000 800000
enhanced_uploaded_float_h5  | 0.3    | 280 2700 26000 50000 115000 230000
basic_authority             | 1      | 930 8000 75000 140000 340000 660000
basic_uploaded              | 0.15   | 145 1200 11500 22000 52500 100000
identity_check              | 0.3    | 300 2800 26000 48000 115000 220000
identity_validity_check     | 1.8    | 1500 14000 130000 240000 550000 1000000
bank_card_check             | 0.6    | 580 5600 54000 104000
bank_card_lookup            | 0.3    | 280 2700 26000 36000
phone_tenure_status         | 0.4    | 380 3800 37000 72000
phone_two_factor            | 0.4    | 380 3700 36000 70000
phone_three_factor_simple   | 1.1    | 1050 10000 95000 180000
phone_three_factor_detailed | 1.2    | 1100 10500 100000 190000
phone_three_factor_cmcc     | 1.3    | 1250 12000 115000 220000
phone_three_factor_ctcc     | 0.7    | 650 6000 55000 100000
phone_three_factor_cucc     | 0.7    | 650 6000 55000 100000
eid_authority               | 1.5    | 1400 6500 12000 100000 450000 800000
intention_authority         | 1.5    | 1450 14400 142000 280000 690000 1350000
intention_uploaded          | 0.8    | 730 7200 71000 138000 335000 650000
nfc_document                | 1.0    |
ai_face_shield              | 1.2    | 1200 11500 110000 210000 500000 950000
photo_v2                    | 1      | 930 8000 75000 140000 340000 660000
face_risk                   | 0.0035 |
"""
PRICED = {
    code.strip(): (price.strip(), packages.split())
    for code, price, packages in (line.split("|") for line in GUIDE.split("\n")[1:-1])
}

# The names that the price tables print, with `-App` and `浮层 H5` throughout.
NAMES = """
plus_authority_wechat       | Plus版人脸核身（权威库）-微信
plus_uploaded_wechat        | Plus版人脸核身（自传照片）-微信
plus_authority_float_h5     | Plus版人脸核身（权威库）-浮层 H5
plus_uploaded_float_h5      | Plus版人脸核身（自传照片）-浮层 H5
plus_authority_app          | Plus版人脸核身（权威库）-App
plus_uploaded_app           | Plus版人脸核身（自传照片）-App
enhanced_authority_wechat   | 增强版人脸核身（权威库）-微信
enhanced_uploaded_wechat    | 增强版人脸核身（自传照片）-微信
enhanced_authority_app      | 增强版人脸核身（权威库）-App
enhanced_uploaded_app       | 增强版人脸核身（自传照片）-App
enhanced_authority_float_h5 | 增强版人脸核身（权威库）-浮层 H5
enhanced_uploaded_float_h5  | 增强版人脸核身（自传照片）-浮层 H5
basic_authority             | 基础版人脸核身（权威库）
basic_uploaded              | 基础版人脸核身（自传照片）
identity_check              | 身份信息核验
identity_validity_check     | 身份信息及有效期核验
bank_card_check             | 银行卡信息核验
bank_card_lookup            | 银行卡基础信息查询
phone_tenure_status         | 手机号在网时长/状态查询
phone_two_factor            | 手机号信息核验(二要素)
phone_three_factor_simple   | 手机号信息核验(三要素)-简版
phone_three_factor_detailed | 手机号信息核验(三要素)-详版
phone_three_factor_cmcc     | 手机号信息核验(三要素)-移动
phone_three_factor_ctcc     | 手机号信息核验(三要素)-电信
phone_three_factor_cucc     | 手机号信息核验(三要素)-联通
eid_authority               | E证通（权威库）
intention_authority         | 意愿核身（权威库）
intention_uploaded          | 意愿核身（自传照片）
nfc_document                | 证件 NFC 识别
ai_face_shield              | AI人脸防护盾
photo_v2                    | 照片人脸核身V2.0
face_risk                   | 人脸安全风险识别服务
"""

# E证通 alone has a package of 5,000 calls, and none of 200,000.
OTHER_SIZES = {"eid_authority": (1_000, 5_000, 10_000, 100_000, 500_000, 1_000_000)}

# The order of the contract's list of codes, which is the order of the numbers.
CODES_IN_ORDER = """
plus_authority_wechat plus_uploaded_wechat plus_authority_float_h5 plus_uploaded_float_h5 plus_authority_app
plus_uploaded_app enhanced_authority_wechat enhanced_uploaded_wechat enhanced_authority_float_h5
enhanced_uploaded_float_h5 enhanced_authority_app enhanced_uploaded_app basic_authority basic_uploaded
identity_check identity_validity_check bank_card_check bank_card_lookup phone_tenure_status phone_two_factor
phone_three_factor_simple phone_three_factor_detailed phone_three_factor_cmcc phone_three_factor_ctcc
phone_three_factor_cucc eid_authority intention_authority intention_uploaded nfc_document ai_face_shield
photo_v2 face_risk
"""
CODES = CODES_IN_ORDER.split()

# Facts 2.1: prices of a month from 0, 1,000, 10,000 and 100,000 calls.
MONTHLY = {
    "identity_check": ("0.30", "0.30", "0.28", "0.26"),
    "bank_card_check": ("0.40", "0.38", "0.36", "0.34"),
    "phone_tenure_status": ("0.40", "0.38", "0.36", "0.36"),
    "phone_two_factor": ("0.40", "0.38", "0.37", "0.36"),
    "bank_card_lookup": ("0.30", "0.30", "0.30", "0.20"),
}

# The contract's table of interfaces: names, library, tags, charged codes. `*` stands for the library.
FACE_API = "Success FailedOperation.IdNameMisMatch FailedOperation.CompareLowSimilarity"
PLUS_APP = "0 2006 2007 2009 2011 2012 2013 2014 2015 2016"
INTERFACES = f"""
plus.wechat_mini_program plus.wechat_native_h5         | both      | plus_*_wechat | 0 1002 2006 2016
plus.wechat_float_h5                                   | both      | plus_*_float_h5 | 0 1002 2006 2016
plus.app_sdk                                           | both      | plus_*_app | {PLUS_APP}
enhanced.wechat_native_h5 enhanced.wechat_mini_program | both      | enhanced_*_wechat | 0 2006 2016
enhanced.app_sdk                                       | both      | enhanced_*_app | 0 66660004 66660010
enhanced.wechat_float_h5 enhanced.mobile_float_h5      | both      | enhanced_*_float_h5 | 0 2006 2016
basic.wechat_plain_h5                                  | both      | basic_* | 0 2006 2016
basic.pc_h5 basic.app_sdk                              | both      | basic_* | 0 66660004 66660010
api.liveness_recognition api.id_photo_verification     | authority | basic_authority | {FACE_API}
api.liveness_compare                                   | uploaded  | basic_uploaded | {FACE_API}
api.id_card_verification api.id_card_ocr_verification  | none      | identity_check | 0 -1
api.id_name_date_check                                 | none      | identity_validity_check | 0 -1
api.bank_card_information                              | none      | bank_card_lookup | 0 -1 -5
api.phone_tenure                                       | none      | phone_tenure_status | 0 -2 -3
api.phone_status                                       | none      | phone_tenure_status | 0
api.phone_2e                                           | none      | phone_two_factor | 0 1
api.phone_3e_cmcc                                      | none      | phone_three_factor_cmcc | 0 -4
api.phone_3e_ctcc                                      | none      | phone_three_factor_ctcc | 0 -4
api.phone_3e_cucc                                      | none      | phone_three_factor_cucc | 0 -4
intention.mini_program intention.h5                    | both      | intention_* | 0 2006 2016
nfc.server nfc.client                                  | none      | nfc_document | 0
ai_face_shield                                         | none      | ai_face_shield | Success
api.photo_v2                                           | authority | photo_v2 | {FACE_API}
face_risk                                              | none      | face_risk | 0
"""

# Facts 1.1: the result of each meaning that is charged, for two, three and four elements.
BANK_CARD = """
0 0 0
-1 -1 -1
-4 -5 -6
-5 -6 -7
-6 -7 -8
-7 -8 -9
-8 -9 -10
-9 -10 -11
-10 -11 -12
-11 -12 -13
-12 -13 -14
-13 -14 -15
-14 -15 -16
-15 -16 -17
-18 -20 -21
"""
# The rows of the table of interfaces with variants.
WITH_VARIANTS = [
    ("api.phone_3e", None, "simple", None, "phone_three_factor_simple", "0 -4"),
    ("api.phone_3e", None, "detailed", None, "phone_three_factor_detailed", "0 -4"),
    ("eid.mini_program", "authority", None, False, "eid_authority", "0 2006 2016"),
    ("eid.mini_program", "authority", None, True, "intention_authority", "0 2006 2016"),
]

type Mapped = tuple[str, str | None, str | None, bool | None, str, tuple[str, ...]]


def _expected_interfaces() -> list[Mapped]:
    found: list[Mapped] = [(*row[:5], tuple(row[5].split())) for row in WITH_VARIANTS]
    libraries: dict[str, tuple[str | None, ...]] = {"both": ("authority", "uploaded"), "none": (None,)}
    for line in INTERFACES.split("\n")[1:-1]:
        names, library, tag, codes = (cell.strip() for cell in line.split("|"))
        for name in names.split():
            found += [
                (name, one, None, None, tag.replace("*", one or ""), tuple(codes.split()))
                for one in libraries.get(library, (library,))
            ]
    columns = zip(*(line.split() for line in BANK_CARD.split("\n")[1:-1]), strict=True)
    found += [
        (f"api.bank_card_{elements}", None, None, None, "bank_card_check", column)
        for elements, column in zip(("2e", "3e", "4e"), columns, strict=True)
    ]
    return found


def test_the_tags_are_the_32_of_the_contract_in_its_order() -> None:
    """Every code of the contract is a tag, numbered from 1 in the order of the contract."""
    assert [(tag.number, tag.code) for tag in load().tags] == list(enumerate(CODES, 1))
    assert len(CODES) == 32


def test_the_names_are_those_of_the_price_tables() -> None:
    """Each tag has the name of its row in the guide, with `-App` and `浮层 H5` throughout."""
    printed = [line.split(" | ") for line in NAMES.split("\n")[1:-1]]
    assert {tag.code: tag.name for tag in load().tags} == {code.strip(): name for code, name in printed}


def test_the_families_are_the_products_of_the_guide() -> None:
    """Tags of one product share a family."""
    sizes: dict[str, int] = {}
    for tag in load().tags:
        sizes[tag.family] = sizes.get(tag.family, 0) + 1
    assert sizes == {
        "plus": 6,
        "enhanced": 6,
        "basic": 2,
        "identity_information": 11,
        "eid": 1,
        "intention": 2,
        "nfc": 1,
        "ai_face_shield": 1,
        "photo": 1,
        "face_risk": 1,
    }


@pytest.mark.parametrize("code", PRICED)
def test_the_unit_price_is_that_of_the_guide(code: str) -> None:
    """A call on the daily list costs what the guide prints."""
    assert load().unit_price(code, DAY, "daily") == Decimal(PRICED[code][0])


@pytest.mark.parametrize("code", PRICED)
def test_the_packages_are_those_of_the_guide(code: str) -> None:
    """Every size and price of the guide is on sale, and no other."""
    prices = PRICED[code][1]
    sizes = OTHER_SIZES.get(code, SIX if len(prices) == len(SIX) else FOUR if prices else ())
    offers = load().package_offers(code, DAY)
    assert [(o.calls, o.price) for o in offers] == list(zip(sizes, map(Decimal, prices), strict=True))
    assert [offer.sku for offer in offers] == [f"{code}:{calls}" for calls in sizes]


def test_a_larger_package_never_costs_more_a_call() -> None:
    """The guide's volume prices only fall, so a misplaced digit shows."""
    for tag in load().tags:
        a_call = [offer.price / offer.calls for offer in load().package_offers(tag.code, DAY)]
        assert a_call == sorted(a_call, reverse=True), tag.code


@pytest.mark.parametrize("code", PRICED)
def test_the_monthly_list_is_tiered_for_five_tags_and_the_guide_for_the_rest(code: str) -> None:
    """The monthly list has the tiers of the newest table for five tags, else the guide's price (D19)."""
    tiers = [(tier.from_calls, tier.unit_price) for tier in load().tiers(code, DAY)]
    if code in MONTHLY:
        assert tiers == list(zip((0, 1_000, 10_000, 100_000), map(Decimal, MONTHLY[code]), strict=True))
        assert load().unit_price(code, DAY, "monthly") is None
    else:
        assert tiers == []
        assert load().unit_price(code, DAY, "monthly") == Decimal(PRICED[code][0])


def test_the_free_grants_are_those_of_the_guide() -> None:
    """A hundred calls of nine tags at the first opening, and of E证通 with a merchant id (D13)."""
    at_opening = [code for code in CODES if code.startswith(("enhanced_", "basic_"))]
    assert len(at_opening) == 8
    expected: set[tuple[str, int, str, date | None]] = {(code, 100, "first_opening", None) for code in at_opening}
    expected |= {
        ("photo_v2", 100, "first_opening", date(2024, 5, 16)),
        ("eid_authority", 100, "eid_merchant", None),
    }
    grants = [(grant.tag, grant.calls, grant.trigger, grant.opened_from) for grant in load().free_grants()]
    assert set(grants) == expected
    assert len(grants) == 10


def test_the_interfaces_are_those_of_the_contract() -> None:
    """Every interface, library and variant reaches its tag and is charged for exactly its codes."""
    listed = [(i.interface, i.library, i.mode, i.intention_verify, i.tag, i.charged_codes) for i in load().interfaces]
    expected = _expected_interfaces()
    assert sorted(listed, key=repr) == sorted(expected, key=repr)
    assert len(expected) == 53


def test_the_interfaces_know_the_numbers_and_sets_of_what_they_name() -> None:
    """An interface carries the number of its tag, and its charged codes as a set."""
    for interface in load().interfaces:
        assert CODES[interface.tag_number - 1] == interface.tag
        assert interface.charged == set(interface.charged_codes)


def test_the_numbers_of_interfaces_never_move() -> None:
    """Usage records keep these numbers, so a few of them are pinned here from first to last."""
    pinned = {
        1: ("plus.wechat_mini_program", "authority"),
        8: ("plus.app_sdk", "uploaded"),
        11: ("enhanced.wechat_mini_program", "authority"),
        18: ("enhanced.mobile_float_h5", "uploaded"),
        24: ("basic.app_sdk", "uploaded"),
        27: ("api.liveness_compare", "uploaded"),
        33: ("api.bank_card_4e", None),
        39: ("api.phone_3e", None),
        44: ("eid.mini_program", "authority"),
        48: ("intention.h5", "uploaded"),
        53: ("face_risk", None),
    }
    catalog = load()
    assert {n: (catalog.interface(n).interface, catalog.interface(n).library) for n in pinned} == pinned


@pytest.mark.parametrize("path", sorted(DATA.iterdir()), ids=lambda path: path.name)
def test_a_file_has_one_record_a_line(path: Path) -> None:
    """The files keep the one layout in which a record is a line, so that a change is a line of a diff."""
    text = path.read_text(encoding="utf-8")
    lines = [json.dumps(record, ensure_ascii=False) for record in json.loads(text)]
    assert text == "[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]\n"
