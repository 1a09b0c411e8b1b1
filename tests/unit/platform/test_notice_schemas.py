"""The documented shape of notices, which others build against, and the notices themselves."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from aws_platform.notices import KeptNotice, notice_from_event
from rating import edges
from rating.allocation import Source
from rating.notices import Kind, Notice
from rating.report import report
from rating.wallet import WalletPackage

# Loaded by name: it has no types of its own, and the tests need nothing else of it.
jsonschema: Any = importlib.import_module("jsonschema")

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "notices.schema.json").read_text())
EXAMPLES: dict[str, dict[str, Any]] = {kind.value: SCHEMA["$defs"][kind.value]["examples"][0] for kind in Kind}
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
AT = datetime.fromisoformat("2025-03-02T10:00:00+08:00")
PACKAGE = WalletPackage("pkg-1", Source.PURCHASE, 10000, 1, AT, AT.replace(year=2026))


def objects(node: Any) -> list[dict[str, Any]]:
    """Every schema of an object within a schema."""
    if isinstance(node, list):
        return [found for one in node for found in objects(one)]
    if not isinstance(node, dict):
        return []
    inner = [found for name, one in node.items() if name != "examples" for found in objects(one)]
    return [node, *inner] if "properties" in node else inner


def test_schema_is_one() -> None:
    """The document is a valid JSON Schema of the 2020-12 dialect, with one definition a kind."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [one["$ref"] for one in SCHEMA["oneOf"]] == [f"#/$defs/{kind.value}" for kind in Kind]


def test_schema_is_closed() -> None:
    """No object takes a field that is not documented, and none of its fields may be missing."""
    found = objects(SCHEMA)
    assert len(found) > 2 * len(Kind)
    for one in found:
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])


@pytest.mark.parametrize("kind", list(Kind))
def test_example_is_valid(kind: Kind) -> None:
    """Each kind has an example that fits the schema, and that is read and written without a change."""
    example = EXAMPLES[kind]
    VALIDATOR.validate(example)
    assert example["kind"] == kind
    assert notice_from_event(example).event() == example


def spoilt_by_a_field(event: dict[str, Any]) -> None:
    """A field that is not documented."""
    event["data"]["more"] = 1


def spoilt_by_a_gap(event: dict[str, Any]) -> None:
    """A field is missing."""
    event["data"].popitem()


def spoilt_by_the_kind(event: dict[str, Any]) -> None:
    """A kind that there is not."""
    event["kind"] = "something_else"


def spoilt_by_the_time(event: dict[str, Any]) -> None:
    """A time of another zone."""
    event["occurred_at"] = "2025-03-01T02:00:00Z"


@pytest.mark.parametrize("spoil", [spoilt_by_a_field, spoilt_by_a_gap, spoilt_by_the_kind, spoilt_by_the_time])
@pytest.mark.parametrize("kind", list(Kind))
def test_other_shapes_are_not_valid(kind: Kind, spoil: Callable[[dict[str, Any]], None]) -> None:
    """What differs from the documented shape does not fit the schema."""
    event = copy.deepcopy(EXAMPLES[kind])
    spoil(event)
    assert not VALIDATOR.is_valid(event)


@pytest.mark.parametrize(
    "notice",
    [
        report(AT, {date(2025, 3, 1): {"identity_check": 7}}, [("identity_check", PACKAGE, 9999)] * 25),
        report(AT, {}, []),
        edges.delivered("identity_check", PACKAGE, "ord-1"),
    ],
    ids=lambda notice: notice.kind.value,
)
def test_notices_fit(notice: Notice) -> None:
    """What the product makes fits the schema."""
    VALIDATOR.validate(json.loads(json.dumps(KeptNotice("20250302100000-1-0001", "acct-1", notice).event())))


def test_page_names_every_kind_and_field() -> None:
    """The page for readers has a row for each kind."""
    page = (DOCS / "notices.md").read_text()
    assert [kind for kind in Kind if f"| `{kind.value}` |" not in page] == []
