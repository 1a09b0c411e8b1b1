"""A row of the archive is made into the event that it was made of."""

from __future__ import annotations

import json

import pytest

from aws_platform import archive
from ingest.events import check_shape, parse_instant
from rating.catalog import Interface, load
from tools.ops.replaying import event_of, variants_of
from tools.ops.stack import OpsError

VARIANTS = variants_of(load().interfaces)


@pytest.mark.parametrize("interface", load().interfaces, ids=lambda one: str(one.number))
@pytest.mark.parametrize("sub_account", ["", 'it\'s "队" 7'])
def test_the_event_of_a_row(interface: Interface, sub_account: str) -> None:
    """Identity and data of the event are those that were archived: interface with its variant, code, team, instant."""
    code = next(iter(interface.charged))
    row = archive.row(1_740_800_000, "37", "/gateway", 'a"1', archive.rest_of_row(interface, code, sub_account))
    event = event_of("acct-1", json.loads(row), VARIANTS)
    ((_, read),), problems = check_shape([event])
    assert problems == []
    data = read["data"]
    named = (data["interface"], data.get("library"), data.get("mode"), data.get("intention_verify"))
    assert load().lookup[named] is interface
    assert (data["result_code"], data.get("sub_account") or "") == (code, sub_account)
    assert parse_instant(read["time"]) == (1_740_800_000, "37")
    assert (read["source"], read["id"], read["subject"]) == ("/gateway", 'a"1', "acct-1")


def test_every_variant_is_told_apart() -> None:
    """What a row says of an interface names one variant only."""
    assert len(VARIANTS) == len(load().interfaces)


def test_a_row_of_another_catalog() -> None:
    """A row that this release's catalog cannot have made ends the command, with what to do."""
    with pytest.raises(OpsError, match="replay with the release that knew it"):
        event_of("acct-1", ["", "", "", "no_tag", "true", "api.gone", "", "0", ""], VARIANTS)
