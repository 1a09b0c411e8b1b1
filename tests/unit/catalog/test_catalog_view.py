"""The answer of `GET /v1/catalog`, and how the catalog is loaded."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import rating
from rating.catalog import MonthlyPrice, PackageOffer, PriceList, Tier, UnitPrice, load

DAY = date(2025, 3, 1)
LAYER = Path(rating.__file__).parents[1]


def _tag(code: str, price_list: PriceList = "daily") -> dict[str, Any]:
    view = load().catalog_view(price_list, DAY)
    found: dict[str, Any] = next(tag for tag in view["tags"] if tag["tag"] == code)
    return found


def test_a_tag_with_everything() -> None:
    """A tag shows its price, its packages with their sku, and its free grant; the daily list has no tiers."""
    assert _tag("enhanced_authority_wechat") == {
        "tag": "enhanced_authority_wechat",
        "name": "增强版人脸核身（权威库）-微信",
        "family": "enhanced",
        "unit_price": "1.20",
        "tiers": None,
        "packages": [
            {"sku": "enhanced_authority_wechat:1000", "calls": 1_000, "price": "1150.00"},
            {"sku": "enhanced_authority_wechat:10000", "calls": 10_000, "price": "11000.00"},
            {"sku": "enhanced_authority_wechat:100000", "calls": 100_000, "price": "100000.00"},
            {"sku": "enhanced_authority_wechat:200000", "calls": 200_000, "price": "180000.00"},
            {"sku": "enhanced_authority_wechat:500000", "calls": 500_000, "price": "400000.00"},
            {"sku": "enhanced_authority_wechat:1000000", "calls": 1_000_000, "price": "800000.00"},
        ],
        "free_grant": {"calls": 100},
    }


@pytest.mark.parametrize("price_list", ["daily", "monthly"])
def test_a_tag_with_nothing_but_a_price(price_list: PriceList) -> None:
    """What a tag does not have is null, and a price keeps its decimals."""
    assert _tag("face_risk", price_list) == {
        "tag": "face_risk",
        "name": "人脸安全风险识别服务",
        "family": "face_risk",
        "unit_price": "0.0035",
        "tiers": None,
        "packages": None,
        "free_grant": None,
    }


def test_a_tiered_tag_of_the_monthly_list() -> None:
    """Where the monthly list has tiers there is no unit price; packages are the same on both lists (D19)."""
    monthly, daily = _tag("bank_card_check", "monthly"), _tag("bank_card_check", "daily")
    assert monthly["unit_price"] is None
    assert monthly["tiers"] == [
        {"from_calls": 0, "unit_price": "0.40"},
        {"from_calls": 1_000, "unit_price": "0.38"},
        {"from_calls": 10_000, "unit_price": "0.36"},
        {"from_calls": 100_000, "unit_price": "0.34"},
    ]
    assert (daily["unit_price"], daily["tiers"]) == ("0.60", None)
    assert monthly["packages"] == daily["packages"]


@pytest.mark.parametrize("price_list", ["daily", "monthly"])
def test_a_tag_has_either_a_unit_price_or_tiers(price_list: PriceList) -> None:
    """Each of the 32 tags shows one kind of price on each list; five are tiered on the monthly one."""
    tags = load().catalog_view(price_list, DAY)["tags"]
    assert [tag["tag"] for tag in tags] == [tag.code for tag in load().tags]
    assert all((tag["unit_price"] is None) != (tag["tiers"] is None) for tag in tags)
    assert sum(tag["tiers"] is not None for tag in tags) == (5 if price_list == "monthly" else 0)


def test_interfaces_show_a_line_for_each_library_and_variant() -> None:
    """Two libraries are two entries, none is one with null, and a variant shows what tells it apart."""
    entries = load().catalog_view("daily", DAY)["interfaces"]
    assert len(entries) == 53

    def of(name: str) -> list[dict[str, Any]]:
        return [entry for entry in entries if entry["interface"] == name]

    common = {"mode": None, "intention_verify": None}
    assert of("basic.pc_h5") == [
        {
            **common,
            "interface": "basic.pc_h5",
            "library": library,
            "tag": f"basic_{library}",
            "charged_codes": ["0", "66660004", "66660010"],
        }
        for library in ("authority", "uploaded")
    ]
    assert of("api.id_card_verification") == [
        {
            **common,
            "interface": "api.id_card_verification",
            "library": None,
            "tag": "identity_check",
            "charged_codes": ["0", "-1"],
        }
    ]
    assert [(entry["mode"], entry["tag"]) for entry in of("api.phone_3e")] == [
        ("simple", "phone_three_factor_simple"),
        ("detailed", "phone_three_factor_detailed"),
    ]
    assert [(e["library"], e["intention_verify"], e["tag"]) for e in of("eid.mini_program")] == [
        ("authority", False, "eid_authority"),
        ("authority", True, "intention_authority"),
    ]


def test_the_view_is_of_its_day() -> None:
    """The day that is asked for decides which prices are shown."""
    catalog = load().with_prices(
        [
            UnitPrice("face_risk", Decimal(10), date(2025, 3, 2)),
            MonthlyPrice("identity_check", (Tier(0, Decimal("0.25")),), date(2025, 3, 2)),
            PackageOffer("face_risk", 1_000, Decimal("9999.9"), date(2025, 3, 2)),
        ]
    )
    assert catalog.catalog_view("monthly", DAY) == load().catalog_view("monthly", DAY)
    tags = {tag["tag"]: tag for tag in catalog.catalog_view("monthly", date(2025, 3, 2))["tags"]}
    assert tags["face_risk"]["unit_price"] == "10.00"
    assert tags["face_risk"]["packages"] == [{"sku": "face_risk:1000", "calls": 1_000, "price": "9999.90"}]
    assert (tags["identity_check"]["unit_price"], tags["identity_check"]["tiers"]) == ("0.25", None)


@pytest.mark.parametrize("price_list", ["daily", "monthly"])
def test_money_is_plain_text(price_list: PriceList) -> None:
    """The view is JSON as it is, and every amount a decimal string of at least 2 decimals."""
    view = load().catalog_view(price_list, DAY)
    assert json.loads(json.dumps(view)) == view
    amounts = re.findall(r'"(?:unit_price|price)": ("[^"]*"|\d[^,}]*)', json.dumps(view))
    assert len(amounts) > 150
    assert [amount for amount in amounts if not re.fullmatch(r'"\d+\.\d{2,4}"', amount)] == []


def test_the_files_are_read_once() -> None:
    """Every caller gets the same catalog."""
    assert load() is load()


def test_loading_takes_the_standard_library_alone() -> None:
    """Stream functions import this on a cold start, so nothing third-party comes with it."""
    code = (
        "import sys; before = set(sys.modules); from rating import catalog; catalog.load();"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    script = f"import sys; sys.path.insert(0, {str(LAYER)!r}); {code}"
    done = subprocess.run([sys.executable, "-I", "-c", script], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "rating" in loaded
    assert loaded - {"rating"} <= sys.stdlib_module_names
    assert not loaded & {"pydantic", "importlib_resources", "asyncio", "urllib", "http"}
