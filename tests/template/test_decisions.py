"""The page of decisions: whatever code and pages cite by a number is there."""

from __future__ import annotations

import re
from itertools import chain

from tests.template.linting import ROOT

DECISIONS = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
TEXTS = {".py", ".md", ".yaml", ".json", ".toml"}


def texts() -> dict[str, str]:
    """What cites decisions, by its place in the repository."""
    folders = (ROOT / name for name in ("functions", "layers", "tools", "local", "tests", "bench", "docs", "events"))
    files = chain(*(folder.rglob("*") for folder in folders), [ROOT / "template.yaml", ROOT / "README.md"])
    found = [one for one in files if one.suffix in TEXTS and one.is_file()]
    return {str(one.relative_to(ROOT)): one.read_text(encoding="utf-8") for one in found}


def missing(cited: str, known: set[str]) -> list[str]:
    """Where something is cited that is not known."""
    return [f"{place}: {one}" for place, text in texts().items() for one in re.findall(cited, text) if one not in known]


def test_every_decision_that_is_cited_has_a_line() -> None:
    """Whoever reads `D7` anywhere finds the rule under that number."""
    rules = re.findall(r"^\| (D\d+) \| \S", DECISIONS, re.MULTILINE)
    assert rules == [f"D{number}" for number in range(1, len(rules) + 1)]
    assert missing(r"\bD\d{1,2}\b", set(rules)) == []


def test_every_section_of_the_facts_that_is_cited_has_a_line() -> None:
    """Whoever reads `facts.md 3.5` anywhere finds what that section is about."""
    rows = re.findall(r"^\| ([\d., ]+) \| \S", DECISIONS, re.MULTILINE)
    known = {section for row in rows for section in row.split(", ")}
    assert len(known) > 5
    assert missing(r"facts(?:\.md)? (\d\.\d)", known) == []
