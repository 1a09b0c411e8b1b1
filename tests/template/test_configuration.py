"""samconfig.toml, the locks and the environments: what a deployment or a fresh clone relies on."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.template.linting import ROOT

INPUTS = sorted([*ROOT.glob("requirements/*.in"), *ROOT.glob("layers/*/requirements.in")])
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(lock: Path) -> dict[str, str]:
    """Version by package."""
    return dict(PIN.findall(lock.read_text(encoding="utf-8")))


def test_production_is_deployed_with_care() -> None:
    """Production asks before it changes anything, is no sandbox, and no file names an account."""
    text = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
    production = tomllib.loads(text)["production"]["deploy"]["parameters"]
    assert production["confirm_changeset"] is True
    assert "Sandbox=false" in production["parameter_overrides"]
    assert not re.search(r"\b\d{12}\b|arn:aws|profile", text.replace("No account, profile", ""))


@pytest.mark.parametrize("source", INPUTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lock_is_exact(source: Path) -> None:
    """Each lock pins every package exactly, with hashes, and names no index address and no path of a machine."""
    text = source.with_suffix(".txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        assert re.match(r"^(#|    #|    --hash=sha256:[0-9a-f]{64}( \\)?$|[A-Za-z0-9._-]+==\S+ (;.*)?\\$)", line), line
    assert "://" not in text
    assert "--index" not in text
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        assert "==" not in block or "--hash=sha256:" in block


@pytest.mark.parametrize("source", INPUTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_direct_package_has_its_reason(source: Path) -> None:
    """Each package that is asked for stands in a group that opens with a comment on why, and is in the lock."""
    locked = {name.lower() for name in pins(source.with_suffix(".txt"))}
    lines = source.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if not line or line.startswith(("#", "-c")):
            continue
        assert lines[number - 1], f"{line} needs a comment above it"
        name = re.split(r"[\[=<>~ ]", line)[0]
        assert name.lower() in locked


def test_what_is_tested_is_what_is_shipped() -> None:
    """The development environment has the very versions of the layers' packages."""
    dev = pins(ROOT / "requirements" / "dev.txt")
    for lock in ROOT.glob("layers/*/requirements.txt"):
        shipped = pins(lock)
        assert shipped
        assert {name: dev.get(name) for name in shipped} == shipped
