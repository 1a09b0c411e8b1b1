"""What an event's interface, library, mode and intention_verify resolve to."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.catalog import (
    Catalog,
    Interface,
    InterfaceRefused,
    InvalidVariant,
    LibraryRequired,
    UnknownInterface,
    UnknownTag,
    build,
    load,
    read_data,
)

CATALOG = load()
NAMES = sorted({interface.interface for interface in CATALOG.interfaces})
LIBRARIES = (None, "authority", "uploaded", "LOCAL", "")
MODES = (None, "simple", "detailed", "")
CHOICES = (None, False, True)


def test_the_lookup_holds_what_resolves_and_nothing_else() -> None:
    """For every combination of values the one dict answers what the explaining function answers."""
    for key in product([*NAMES, "", "nothing"], LIBRARIES, MODES, CHOICES):
        found = CATALOG.lookup.get(key)
        if found is None:
            with pytest.raises(InterfaceRefused):
                CATALOG.resolve_interface(*key)
        else:
            assert CATALOG.resolve_interface(*key) is found
            assert found.interface == key[0]
    known = {*product(NAMES, LIBRARIES, MODES, CHOICES)}
    assert set(CATALOG.lookup) <= known


def test_every_spelled_out_interface_resolves_to_itself() -> None:
    """Each record is found under its own full name."""
    for one in CATALOG.interfaces:
        assert CATALOG.resolve_interface(one.interface, one.library, one.mode, one.intention_verify) is one


@pytest.mark.parametrize(
    "interface, library, mode, intention_verify, tag",
    [
        ("enhanced.wechat_mini_program", "authority", None, None, "enhanced_authority_wechat"),
        ("enhanced.wechat_mini_program", "uploaded", None, None, "enhanced_uploaded_wechat"),
        ("plus.app_sdk", "uploaded", None, None, "plus_uploaded_app"),
        ("api.liveness_recognition", None, None, None, "basic_authority"),
        ("api.liveness_recognition", "authority", None, None, "basic_authority"),
        ("api.liveness_compare", None, None, None, "basic_uploaded"),
        ("api.liveness_compare", "uploaded", None, None, "basic_uploaded"),
        ("api.photo_v2", None, None, None, "photo_v2"),
        ("api.id_card_verification", None, None, None, "identity_check"),
        ("api.phone_3e", None, None, None, "phone_three_factor_simple"),
        ("api.phone_3e", None, "simple", None, "phone_three_factor_simple"),
        ("api.phone_3e", None, "detailed", None, "phone_three_factor_detailed"),
        ("api.phone_3e_ctcc", None, None, None, "phone_three_factor_ctcc"),
        ("eid.mini_program", None, None, None, "eid_authority"),
        ("eid.mini_program", None, None, False, "eid_authority"),
        ("eid.mini_program", "authority", None, None, "eid_authority"),
        ("eid.mini_program", None, None, True, "intention_authority"),
        ("eid.mini_program", "authority", None, True, "intention_authority"),
        ("intention.h5", "uploaded", None, None, "intention_uploaded"),
    ],
)
def test_what_is_left_out_has_its_default(
    interface: str, library: object, mode: object, intention_verify: object, tag: str
) -> None:
    """The only library, the simple mode and no intention verification are understood when left out (D7)."""
    assert CATALOG.resolve_interface(interface, library, mode, intention_verify).tag == tag


def test_defaults_and_their_spelling_are_the_same_interface() -> None:
    """An event with a default spelled out equals one without it: events are compared after defaults."""
    assert CATALOG.resolve_interface("api.phone_3e") is CATALOG.resolve_interface("api.phone_3e", None, "simple")
    full = CATALOG.resolve_interface("eid.mini_program", "authority", None, intention_verify=False)
    assert CATALOG.resolve_interface("eid.mini_program") is full


@pytest.mark.parametrize("name", ["enhanced.wechat", "Face_Risk", "face_risk ", "", None, 7, ["face_risk"], {}])
def test_an_unknown_interface_is_refused(name: object) -> None:
    """A name that the catalog does not have, of whatever type, has its own code."""
    with pytest.raises(UnknownInterface) as refusal:
        CATALOG.resolve_interface(name)
    assert refusal.value.code == "unknown_interface"


@pytest.mark.parametrize("name", sorted({i.interface for i in CATALOG.interfaces if i.library == "uploaded"}))
def test_a_library_is_required_only_where_there_are_two(name: str) -> None:
    """Where both libraries are possible one must be named; where one is, it need not."""
    if {i.library for i in CATALOG.interfaces if i.interface == name} == {"uploaded"}:
        assert CATALOG.resolve_interface(name).library == "uploaded"
        return
    with pytest.raises(LibraryRequired) as refusal:
        CATALOG.resolve_interface(name)
    assert refusal.value.code == "library_required"


@pytest.mark.parametrize(
    "interface, library, mode, intention_verify",
    [
        ("api.id_card_verification", "authority", None, None),
        ("api.liveness_recognition", "uploaded", None, None),
        ("api.liveness_compare", "authority", None, None),
        ("enhanced.app_sdk", "business", None, None),
        ("enhanced.app_sdk", 1, None, None),
        ("enhanced.app_sdk", ["authority"], None, None),
        ("enhanced.app_sdk", "authority", "simple", None),
        ("enhanced.app_sdk", "authority", None, False),
        ("api.phone_3e", None, "full", None),
        ("api.phone_3e", None, 0, None),
        ("api.phone_3e_cmcc", None, "simple", None),
        ("api.phone_3e", "authority", "simple", None),
        ("eid.mini_program", "uploaded", None, None),
        ("eid.mini_program", "uploaded", None, True),
        ("eid.mini_program", None, None, 1),
        ("eid.mini_program", None, None, 0),
        ("eid.mini_program", None, None, 1.0),
        ("eid.mini_program", None, None, "true"),
        ("eid.mini_program", None, "simple", None),
        ("intention.h5", "authority", None, True),
    ],
)
def test_a_value_that_is_not_offered_is_refused(
    interface: str, library: object, mode: object, intention_verify: object
) -> None:
    """A library, mode or choice that the interface does not have is never ignored, and `1` is not `true`."""
    with pytest.raises(InvalidVariant) as refusal:
        CATALOG.resolve_interface(interface, library, mode, intention_verify)
    assert refusal.value.code == "invalid_event"


def test_a_combination_that_is_not_listed_is_refused() -> None:
    """Values that each exist, but not together, are refused too."""
    raw = {file: [dict(record) for record in records] for file, records in read_data().items()}
    for record in raw["interfaces"]:
        if record["interface"] == "api.phone_3e":
            record["library"] = "authority" if record["mode"] == "simple" else "uploaded"
    with pytest.raises(InvalidVariant, match="combination"):
        build(raw).resolve_interface("api.phone_3e", "uploaded", "simple")


def test_a_refusal_does_not_repeat_a_long_input() -> None:
    """However long a producer's text is, an error stays short and printable."""
    with pytest.raises(UnknownInterface) as refusal:
        CATALOG.resolve_interface("\ud800" + "x" * 10_000)
    assert len(str(refusal.value)) < 200
    assert str(refusal.value).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["simple"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(st.sampled_from(NAMES) | JSON, st.sampled_from(LIBRARIES) | JSON, JSON, JSON)
def test_any_json_resolves_or_is_refused(
    interface: object, library: object, mode: object, intention_verify: object
) -> None:
    """Whatever a producer sends, the answer is an interface of that name or one of the three refusals."""
    try:
        found = CATALOG.resolve_interface(interface, library, mode, intention_verify)
    except InterfaceRefused as refusal:
        assert refusal.code in {"unknown_interface", "library_required", "invalid_event"}  # noqa: PT017 - a property over all inputs
    else:
        assert (found.interface, found.library) == (
            interface,
            library if library is not None else found.library,
        )


def _numbers(catalog: Catalog) -> list[Interface]:
    return [catalog.interface(number) for number in range(1, len(catalog.interfaces) + 1)]


def test_numbers_lead_back_to_tags_and_interfaces() -> None:
    """What usage records keep finds its tag and interface again."""
    assert _numbers(CATALOG) == list(CATALOG.interfaces)
    assert [CATALOG.tag(tag.code) for tag in CATALOG.tags] == list(CATALOG.tags)


@pytest.mark.parametrize("number", [0, -1, 54, 1000])
def test_a_number_that_nothing_has_is_refused(number: int) -> None:
    """No number reaches the list from its other end or past it."""
    with pytest.raises(UnknownInterface):
        CATALOG.interface(number)


def test_an_unknown_tag_is_refused() -> None:
    """The code of a family, or any other text, is no tag."""
    with pytest.raises(UnknownTag):
        CATALOG.tag("enhanced")
