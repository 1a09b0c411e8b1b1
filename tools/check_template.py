"""checkov over the template, less what tools/checkov.toml lists with a reason.

    python -m tools.check_template

Reports what checkov finds and nobody has decided about, and decisions about what it does not find any more. Asks
nothing of the network. The template is judged as it is written: as SAM transforms it checkov finds the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
DECISIONS = ROOT / "tools" / "checkov.toml"
OFFLINE = ("--skip-download", "--framework", "cloudformation", "--quiet", "--compact", "--output", "json")


@dataclass(frozen=True, order=True)
class Finding:
    """A check that a resource fails."""

    check: str
    resource: str
    """Its logical id."""
    what: str = ""


@dataclass(frozen=True)
class Decision:
    """A check that some resources may fail, and why."""

    check: str
    resources: tuple[str, ...]
    """Patterns of logical ids."""
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is one of those that were decided about."""
        return finding.check == self.check and any(fnmatchcase(finding.resource, one) for one in self.resources)


def decisions(text: str) -> list[Decision]:
    """What the file of decisions says."""
    return [
        Decision(one["check"], tuple(one["resources"]), one["reason"]) for one in tomllib.loads(text).get("skip", ())
    ]


def findings(report: Mapping[str, Any]) -> list[Finding]:
    """What failed, by checkov's report. Raises ValueError where it could not read the template."""
    summary = report["summary"]
    if summary["parsing_errors"] or not summary["resource_count"]:
        message = f"checkov could not read the template: {summary}"
        raise ValueError(message)
    failed = report["results"]["failed_checks"]
    return sorted(Finding(one["check_id"], one["resource"].rpartition(".")[2], one["check_name"]) for one in failed)


def complaints(found: Iterable[Finding], decided: Sequence[Decision]) -> list[str]:
    """What nobody has decided about, and what was decided for nothing."""
    found = list(found)
    new = [one for one in found if not any(decision.covers(one) for decision in decided)]
    stale = [
        f"tools/checkov.toml: no {pattern} fails {decision.check} any more"
        for decision in decided
        for pattern in decision.resources
        if not any(one.check == decision.check and fnmatchcase(one.resource, pattern) for one in found)
    ]
    return [f"template.yaml: {one.resource} fails {one.check}: {one.what}" for one in new] + stale


def main() -> int:
    """Check the template; 1 when there is something to decide about."""
    done = subprocess.run(  # noqa: S603 - fixed command, no shell
        [str(CHECKOV), "--file", "template.yaml", *OFFLINE],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/"), "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    # Findings make it end with 1; anything else is no answer.
    if done.returncode not in {0, 1} or not done.stdout.startswith("{"):
        print(f"checkov ended with {done.returncode}:\n{done.stdout}{done.stderr}", file=sys.stderr)
        return 1
    found = findings(json.loads(done.stdout))
    wrong = complaints(found, decisions(DECISIONS.read_text(encoding="utf-8")))
    print("\n".join(wrong) or f"checkov: {len(found)} findings, each decided about in {DECISIONS.relative_to(ROOT)}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
