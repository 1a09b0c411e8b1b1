"""Deploys a stage of samconfig.toml: builds for its architecture, and gives the release a name of its own.

    python -m tools.deploy staging [--at-once] [--dry-run]

`sam deploy --config-env staging` does the same but for one thing: SAM publishes new versions of the functions when code
or layers change, but does not see that the value of a parameter did. The release is a digest of both, so that every
change, and nothing else, makes new versions.

`--at-once` is the way back from a bad release: the alarms of that release would stop a deployment bit by bit, or take
it back.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools import build

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = ROOT / "samconfig.toml"
SAM = ROOT / ".venv-sam" / "bin" / "sam"
REQUIRED = ("JwtIssuer", "JwtAudience")
RELEASE_LENGTH = 10
"""As much as SAM puts into the name of a version."""


class NotReadyError(Exception):
    """The stage says too little to be deployed."""


def overrides_of(configuration: Mapping[str, Any], stage: str) -> dict[str, str]:
    """The parameters that a stage gives. Raises NotReadyError if there is no such stage or something is missing."""
    stages = [name for name, section in configuration.items() if isinstance(section, Mapping) and "deploy" in section]
    if stage not in stages:
        wrong = f"samconfig.toml has no stage {stage}" if stage else "no stage is named"
        message = f"{wrong}: `make deploy STAGE=...` deploys one of {', '.join(stages)}"
        raise NotReadyError(message)
    listed = configuration[stage]["deploy"]["parameters"]["parameter_overrides"]
    given = dict(one.split("=", 1) for one in listed)
    for name, value in given.items():
        if "<" in value:
            message = f"samconfig.toml, {stage}: put your own value for {name} in the place of {value}"
            raise NotReadyError(message)
    if missing := [name for name in REQUIRED if not given.get(name)]:
        message = f"samconfig.toml, {stage}: {' and '.join(missing)} must be given (docs/deploy.md)"
        raise NotReadyError(message)
    return given


def release_of(built: str, overrides: Mapping[str, str]) -> str:
    """The name of what is deployed: the same exactly when artifacts and parameters are the same."""
    text = "\0".join([built, *(f"{name}={value}" for name, value in sorted(overrides.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:RELEASE_LENGTH]


def all_at_once(overrides: Mapping[str, str]) -> dict[str, str]:
    """The same parameters, but all calls move to the new version at once, whatever alarms say."""
    return {**overrides, "DeploymentType": "AllAtOnce"}


def command_of(stage: str, overrides: Mapping[str, str], release: str) -> list[str]:
    """The `sam deploy` that deploys the stage."""
    given = {**overrides, "Release": release}
    listed = [f"{name}={value}" if value else f'{name}=""' for name, value in given.items()]
    return [str(SAM), "deploy", "--config-env", stage, "--parameter-overrides", *listed]


def main(arguments: Sequence[str]) -> int:
    """Deploy a stage; 1 when it is not ready or could not be built, else what `sam deploy` ends with."""
    parser = argparse.ArgumentParser(description="Deploy a stage of samconfig.toml.")
    parser.add_argument("stage", nargs="?", default="", help="one of samconfig.toml")
    parser.add_argument("--at-once", action="store_true", help="move all calls at once, whatever alarms say")
    parser.add_argument("--dry-run", action="store_true", help="build, and print the command instead of running it")
    asked = parser.parse_args(arguments)
    try:
        overrides = overrides_of(tomllib.loads(CONFIGURATION.read_text(encoding="utf-8")), asked.stage)
    except NotReadyError as error:
        print(error, file=sys.stderr)
        return 1
    if asked.at_once:
        overrides = all_at_once(overrides)
    if build.main(["--architecture", overrides.get("Architecture", "arm64")]):
        return 1
    command = command_of(asked.stage, overrides, release_of(build.STAMP.read_text(encoding="utf-8"), overrides))
    if asked.dry_run:
        print(" ".join(command))
        return 0
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "SAM_CLI_TELEMETRY": "0"}, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
