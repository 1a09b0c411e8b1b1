"""Each rule of the data, broken once."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.catalog import Catalog, CatalogError, build, read_data, validate

type Data = dict[str, list[Any]]

DATA: Data = {file: [dict(record) for record in records] for file, records in read_data().items()}


def _broken(change: Callable[[Data], object]) -> Data:
    data = deepcopy(DATA)
    change(data)
    return data


def _record(data: Data, file: str, **fields: object) -> dict[str, Any]:
    matching = (r for r in data[file] if all(r[field] == value for field, value in fields.items()))
    found: dict[str, Any] = next(matching)
    return found


def _set(file: str, field: str, value: object, **of: object) -> Callable[[Data], object]:
    return lambda data: _record(data, file, **of).update({field: value})


def _drop(file: str, **of: object) -> Callable[[Data], object]:
    return lambda data: data[file].remove(_record(data, file, **of))


def _repeat(file: str, **of: object) -> Callable[[Data], object]:
    return lambda data: data[file].append(dict(_record(data, file, **of)))


def _from_scratch(data: Data) -> None:
    data["tags"].append({"tag": "new", "number": 33, "name": "新", "family": "new"})


def _price_fell_first(data: Data) -> None:
    """A price cut before the offer's own day makes the offer dear."""
    data["prices_daily"].append({"tag": "photo_v2", "unit_price": "0.50", "from": "2025-01-01"})
    for offer in data["packages"]:
        if offer["tag"] == "photo_v2":
            offer["from"] = "2025-02-01"


def test_the_data_keep_every_rule() -> None:
    """The files as they are have no problem."""
    assert validate(DATA) == []


@pytest.mark.parametrize(
    "change, problem",
    [
        pytest.param(_drop("prices_daily", tag="nfc_document"), "no price for tag nfc_document", id="no price"),
        pytest.param(_from_scratch, "no price for tag new", id="new tag without price"),
        pytest.param(_from_scratch, "none reaches tag new", id="new tag without interface"),
        pytest.param(_drop("interfaces", number=53), "none reaches tag face_risk", id="unreached tag"),
        pytest.param(_set("packages", "tag", "x", tag="photo_v2"), "packages: unknown tag x", id="package of no tag"),
        pytest.param(
            _set("free_grants", "tag", "x", tag="photo_v2"),
            "free_grants: unknown tag x",
            id="grant of no tag",
        ),
        pytest.param(
            _set("prices_daily", "tag", "x", tag="photo_v2"),
            "prices_daily: unknown tag x",
            id="price of no tag",
        ),
        pytest.param(
            _set("prices_monthly", "tag", "x", tag="identity_check"),
            "prices_monthly: unknown tag x",
            id="tiers of no tag",
        ),
        pytest.param(_set("interfaces", "tag", "x", number=1), "interfaces: unknown tag x", id="interface of no tag"),
        pytest.param(
            _set("interfaces", "charged_codes", [], number=9),
            "number 9 has no charged codes",
            id="no charged codes",
        ),
        pytest.param(
            _set("interfaces", "charged_codes", ["0", "0"], number=9),
            "charged code 0 is listed",
            id="code twice",
        ),
        pytest.param(_set("interfaces", "from", "2025-01-01", number=9), "number 9 has a day", id="dated interface"),
        pytest.param(_set("interfaces", "number", 2, number=1), "interfaces: the numbers", id="interface number twice"),
        pytest.param(_set("interfaces", "number", 54, number=53), "interfaces: the numbers", id="interface number gap"),
        pytest.param(_set("tags", "number", 2, number=1), "tags: the numbers", id="tag number twice"),
        pytest.param(_set("tags", "number", 40, number=32), "tags: the numbers", id="tag number gap"),
        pytest.param(_repeat("tags", number=1), "tag plus_authority_wechat is listed 2 times", id="tag twice"),
        pytest.param(
            _set("tags", "name", "E证通（权威库）", number=1),
            "name E证通（权威库） is listed",
            id="name twice",
        ),
        pytest.param(_repeat("prices_daily", tag="face_risk"), "prices_daily: tag and day", id="price twice"),
        pytest.param(_repeat("prices_monthly", tag="identity_check"), "prices_monthly: tag and day", id="tiers twice"),
        pytest.param(_repeat("packages", tag="photo_v2"), "packages: sku and day", id="package twice"),
        pytest.param(_repeat("free_grants", tag="photo_v2"), "free_grants: tag photo_v2", id="grant twice"),
        pytest.param(_repeat("interfaces", number=7), "interfaces: variant", id="interface twice"),
        pytest.param(_set("prices_monthly", "tiers", [], tag="identity_check"), "has no tiers", id="no tiers"),
        pytest.param(
            _set("prices_monthly", "tiers", [{"from_calls": 1, "unit_price": "0.30"}], tag="identity_check"),
            "do not start at 0 calls",
            id="tiers from 1",
        ),
        pytest.param(
            _set(
                "prices_monthly",
                "tiers",
                [{"from_calls": calls, "unit_price": "0.30"} for calls in (0, 1_000, 1_000)],
                tag="identity_check",
            ),
            "do not ascend",
            id="tiers level",
        ),
        pytest.param(
            _set("packages", "price", "1000.01", tag="photo_v2", calls=1_000),
            "photo_v2:1000 costs more than its calls",
            id="dear package",
        ),
        pytest.param(_price_fell_first, "photo_v2:1000 costs more than its calls", id="package dear by then"),
        pytest.param(_drop("interfaces", mode="simple"), "api.phone_3e lacks the default mode", id="no default mode"),
        pytest.param(
            _drop("interfaces", intention_verify=False),
            "eid.mini_program lacks the default intention_verify",
            id="no default choice",
        ),
        pytest.param(
            _set("interfaces", "library", None, number=1),
            "listed with and without library",
            id="library and none",
        ),
        pytest.param(_set("interfaces", "mode", None, number=39), "with and without mode", id="mode and none"),
        pytest.param(
            _set("interfaces", "intention_verify", None, number=44),
            "with and without intention_verify",
            id="choice and none",
        ),
    ],
)
def test_a_broken_rule_is_named(change: Callable[[Data], object], problem: str) -> None:
    """Data that break the rule are refused, and the problem is named."""
    data = _broken(change)
    assert any(problem in found for found in validate(data)), validate(data)
    with pytest.raises(CatalogError) as refusal:
        build(data)
    assert list(refusal.value.problems) == validate(data)


@pytest.mark.parametrize(
    "file, field, value",
    [
        ("tags", "tag", ""),
        ("tags", "tag", None),
        ("tags", "name", " E证通"),
        ("tags", "number", "1"),
        ("tags", "number", True),
        ("tags", "number", 0),
        ("tags", "number", 256),
        ("prices_daily", "unit_price", 0.3),
        ("prices_daily", "unit_price", 1),
        ("prices_daily", "unit_price", "0.00"),
        ("prices_daily", "unit_price", "-1"),
        ("prices_daily", "unit_price", "1e3"),
        ("prices_daily", "unit_price", "1,000"),
        ("prices_daily", "unit_price", "NaN"),
        ("prices_daily", "unit_price", ".5"),
        ("prices_daily", "unit_price", "1."),
        ("prices_daily", "unit_price", "１"),
        ("prices_daily", "unit_price", "0.00351"),
        ("prices_daily", "from", "2025-02-30"),
        ("prices_daily", "from", "20250201"),
        ("prices_daily", "from", "2025-W05-1"),
        ("prices_daily", "from", 20250201),
        ("prices_monthly", "tiers", None),
        ("prices_monthly", "tiers", [{"from_calls": 0}]),
        ("prices_monthly", "tiers", [{"from_calls": "0", "unit_price": "0.3"}]),
        ("prices_monthly", "tiers", [{"from_calls": 0, "unit_price": "0"}]),
        ("prices_monthly", "tiers", [0]),
        ("packages", "calls", 0),
        ("packages", "calls", 1e3),
        ("packages", "price", "0"),
        ("packages", "price", "1500.005"),
        ("free_grants", "trigger", "birthday"),
        ("free_grants", "trigger", None),
        ("free_grants", "calls", -100),
        ("free_grants", "opened_from", ""),
        ("interfaces", "interface", ""),
        ("interfaces", "library", "both"),
        ("interfaces", "library", False),
        ("interfaces", "mode", "Simple"),
        ("interfaces", "intention_verify", 1),
        ("interfaces", "charged_codes", "0"),
        ("interfaces", "charged_codes", [0]),
        ("interfaces", "charged_codes", [""]),
    ],
)
def test_a_malformed_field_is_named(file: str, field: str, value: object) -> None:
    """A value of the wrong type, form or range is refused by the place where it stands."""
    data = _broken(lambda data: data[file][0].update({field: value}))
    assert [found for found in validate(data) if found.startswith(f"{file} record 1: bad {field}")]
    with pytest.raises(CatalogError):
        build(data)


def _without(file: str, field: str) -> Callable[[Data], object]:
    return lambda data: data[file][0].pop(field)


@pytest.mark.parametrize("file", sorted(DATA))
def test_a_record_has_its_fields_and_no_others(file: str) -> None:
    """A missing field, a field that nothing reads, and a record that is no object are problems."""
    for field in DATA[file][0]:
        assert f"{file} record 1: no {field}" in validate(_broken(_without(file, field)))
    noted = _broken(lambda data: data[file][0].update(note=""))
    assert f"{file} record 1: unknown field note" in validate(noted)
    text = _broken(lambda data: data[file].__setitem__(0, "x"))
    assert f"{file} record 1: not an object" in validate(text)


@pytest.mark.parametrize("file", sorted(DATA))
def test_every_file_is_there_and_holds_records(file: str) -> None:
    """A file that is missing, empty or no list is a problem, and so is one that nothing reads."""
    wrong: list[Any] = [[], {}, None]
    for content in wrong:
        assert f"{file}: not a list of records" in validate({**DATA, file: content})
    assert f"{file}: not a list of records" in validate(_broken(lambda data: data.pop(file)))
    assert "extra: no such file" in validate({**DATA, "extra": []})


def test_every_problem_is_told_at_once() -> None:
    """One load names all that is wrong, so that a person mends the files in one go."""
    data = _broken(_drop("prices_daily", tag="face_risk"))
    data["free_grants"].append(dict(data["free_grants"][0]))
    assert len(validate(data)) == 2


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 60)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["face_risk", "api.phone_3e", "uploaded", "0.5", "2025-01-01"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=3,
)


@given(st.data())
def test_data_with_a_changed_field_are_refused_or_make_a_catalog(draw: st.DataObject) -> None:
    """Whatever one field becomes, either problems are named or the catalog stands: never another error."""
    file = draw.draw(st.sampled_from(sorted(DATA)))
    place = draw.draw(st.integers(0, len(DATA[file]) - 1))
    field = draw.draw(st.sampled_from(sorted(DATA[file][place])))
    record = {**DATA[file][place], field: draw.draw(ANYTHING)}
    data = {**DATA, file: [*DATA[file][:place], record, *DATA[file][place + 1 :]]}
    if validate(data):
        with pytest.raises(CatalogError):
            build(data)
    else:
        assert isinstance(build(data), Catalog)
