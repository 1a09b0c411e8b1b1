"""Runs the house rules over a template."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cfnlint.api import lint
from cfnlint.rules import RulesCollection

ROOT = Path(__file__).resolve().parents[2]


@cache
def house_rules() -> RulesCollection:
    """The rules in tools/house_rules, without those of cfn-lint itself."""
    rules = RulesCollection()
    rules.create_from_directory(str(ROOT / "tools" / "house_rules"))
    return rules


def findings(template: str) -> list[tuple[str, str]]:
    """Rule and message of each finding of the house rules in `template`."""
    return sorted({(match.rule.id, match.message) for match in lint(template, rules=house_rules())})
