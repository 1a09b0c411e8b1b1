"""What is made of checkov's report; checkov itself runs in `make lint`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.template.test_template import template
from tools.check_template import DECISIONS, Decision, Finding, complaints, decisions, findings

ENCRYPTED, NAMED = Finding("CKV_1", "UsageQueue", "encrypt"), Finding("CKV_2", "Api", "name")


def report(*failed: Finding, errors: int = 0) -> dict[str, Any]:
    """A report of checkov."""
    listed = [
        {"check_id": one.check, "check_name": one.what, "resource": f"AWS::Some::Thing.{one.resource}"}
        for one in failed
    ]
    return {"summary": {"parsing_errors": errors, "resource_count": 3}, "results": {"failed_checks": listed}}


def test_what_was_decided_is_silent() -> None:
    """A finding with a decision about it is no complaint."""
    assert complaints(findings(report(ENCRYPTED)), [Decision("CKV_1", ("*Queue",), "why")]) == []


@pytest.mark.parametrize("decided", [(), (Decision("CKV_2", ("Api",), "why"),)])
def test_what_nobody_decided_about_is_told(decided: tuple[Decision, ...]) -> None:
    """A finding without a decision of its own is told by resource and check."""
    (told, *_) = complaints(findings(report(ENCRYPTED, *([NAMED] if decided else []))), decided)
    assert "UsageQueue fails CKV_1" in told


def test_a_decision_for_nothing_is_told() -> None:
    """A skip goes when what it was for has gone."""
    (told,) = complaints([ENCRYPTED], [Decision("CKV_1", ("*Queue", "*Topic"), "why")])
    assert "no *Topic fails CKV_1" in told


def test_a_template_that_was_not_read_is_no_success() -> None:
    """A report without resources, or with errors, is no clean bill."""
    with pytest.raises(ValueError, match="could not read"):
        findings(report(errors=1))


def test_every_decision_has_a_reason() -> None:
    """Each skip says in a sentence why, and is about resources that there are."""
    decided = decisions(DECISIONS.read_text(encoding="utf-8"))
    assert len({one.check for one in decided}) == len(decided)
    ids = set(template().template["Resources"])
    for one in decided:
        assert one.reason.endswith(".")
        assert len(one.reason.split()) > 8
        assert any(one.covers(Finding(one.check, name)) for name in ids), one.check
