"""docs/deploy.md can be followed: its blocks as one script, the token issuer of theirs, and the figures in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.decode import decode_str

from bench import scale
from bench.costing import Recorded, total_usd, usd
from local.deploy import CAPABILITIES
from tests.template.linting import ROOT
from tests.template.test_operations import options_of
from tests.template.test_template import resources, template
from tools import deploy
from tools.house_rules._shared import REGION

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = sorted(set(re.findall(r"(?<![\w-])aws [^)|;\n]+", "".join(BLOCKS))))
ISSUER = ROOT / "tools" / "cognito.yaml"
OF_THE_CLI = "aws cloudformation deploy"
"""A command that no operation of the API is behind."""
STUBS = {
    "aws": 'echo "aws $*" >> "$SAID"; echo "made-by-$2"',
    "curl": 'echo "curl $*" >> "$SAID"; echo \'{"access_token": "a-token"}\'',
    "make": 'echo "make $*" >> "$SAID"',
    "openssl": "echo 0123456789abcdef",
    "sleep": "",
}
"""What stands in for the programs that reach beyond this machine, or take their time."""


def followed(folder: Path) -> list[str]:
    """What the page's blocks call, as one script of a shell in which every name must be set."""
    programs, said = folder / "bin", folder / "said"
    programs.mkdir()
    for name, body in STUBS.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    shutil.copy(ROOT / "samconfig.toml", folder)
    script = "set -euo pipefail\n" + "".join(BLOCKS)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "SAID": str(said)}
    run = ["bash", "-c", script]
    done = subprocess.run(run, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    # A name that is missing within `$(...)` ends only that.
    assert done.stderr == ""
    return said.read_text(encoding="utf-8").splitlines()


def test_the_blocks_are_one_script(tmp_path: Path) -> None:
    """Pasted from top to bottom the blocks find every name set by a line before; no request is without its token."""
    said = followed(tmp_path)
    asked = [line for line in said if line.startswith("curl") and "authorization" in line]
    assert len(asked) > 6
    assert [line for line in asked if not re.search(r"Bearer [\w-]+", line)] == []
    assert next(line for line in said if line.startswith("make deploy")) == "make deploy STAGE=staging"


def test_the_blocks_fill_in_the_stage(tmp_path: Path) -> None:
    """After them the stage has all that is the reader's to say, and the other stages wait for their own."""
    followed(tmp_path)
    filled = tomllib.loads((tmp_path / "samconfig.toml").read_text(encoding="utf-8"))
    given = deploy.overrides_of(filled, "staging")
    assert given["AlarmEmail"] == "you@example.com"
    with pytest.raises(deploy.NotReadyError):
        deploy.overrides_of(filled, "production")


@pytest.mark.parametrize("stage", ["staging", "production"])
def test_stacks_have_the_names_that_the_page_says(stage: str) -> None:
    """The page's `STACK` of a stage is the one that samconfig.toml has."""
    configured = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    name = configured[stage]["deploy"]["parameters"]["stack_name"]
    assert re.search(rf"STAGE={stage} STACK={name}\b(?!-)", PAGE)


@pytest.mark.parametrize("command", [one for one in COMMANDS if not one.startswith(OF_THE_CLI)])
def test_commands_of_aws_are_whole(command: str) -> None:
    """Service, operation and options of a command are those of the AWS API, and none is missing."""
    flags, known, required = options_of(command)
    # What is said for good takes no value.
    assert flags - {"permanent"} <= known
    assert required <= flags


def test_every_stage_is_named() -> None:
    """Who names no stage, or one that there is not, is told which there are; the page has the same."""
    configured = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    for stage in ("", "elsewhere", "version"):
        with pytest.raises(deploy.NotReadyError, match="default, staging, production"):
            deploy.overrides_of(configured, stage)
    assert "The stages are `default`, `staging` and `production`." in PAGE


def test_make_deploy_without_a_stage_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """`make deploy` alone is answered in a sentence."""
    assert deploy.main([]) == 1
    assert capsys.readouterr().err.startswith("no stage is named: ")


# The token issuer


@cache
def issuer() -> dict[str, Any]:
    """The resources of the token issuer."""
    template, findings = decode_str(ISSUER.read_text(encoding="utf-8"))
    assert not findings
    found: dict[str, Any] = template["Resources"]
    return found


def token(attributes: dict[str, str] | None, *scopes: str) -> dict[str, Any]:
    """What the trigger changes in an access token."""
    module: dict[str, Callable[..., Any]] = {}
    exec(issuer()["Trigger"]["Properties"]["Code"]["ZipFile"], module)  # noqa: S102 - the code is our own
    asked = {"request": {"userAttributes": attributes, "scopes": list(scopes)}, "response": {}}
    answer = module["handle"](asked, None)["response"]["claimsAndScopeOverrideDetails"]["accessTokenGeneration"]
    return dict(answer)


def test_the_issuer_is_a_sound_template() -> None:
    """CloudFormation would take it."""
    assert lint(ISSUER.read_text(encoding="utf-8"), regions=[REGION]) == []


@pytest.mark.parametrize("client, scope", [("Producer", "usage:write"), ("Operator", "billing:admin")])
def test_machines_get_their_scope(client: str, scope: str) -> None:
    """The one scope that a machine's client has becomes the one of ours that its kind needs, and no account with it."""
    (allowed,) = issuer()[client]["Properties"]["AllowedOAuthScopes"]
    name = allowed["Fn::Sub"].replace("${Scopes}", issuer()["Scopes"]["Properties"]["Identifier"])
    assert name.partition("/")[2] in {one["ScopeName"] for one in issuer()["Scopes"]["Properties"]["Scopes"]}
    for nobody in (None, dict[str, str]()):
        assert token(nobody, name) == {"scopesToAdd": [scope]}


def test_customers_get_their_account() -> None:
    """A user with an account may read and write that account, and nothing else, whatever was asked for."""
    assert token({"custom:account_id": "acct-1"}, "zhangben/admin") == {
        "claimsToAddOrOverride": {"account_id": "acct-1"},
        "scopesToAdd": ["billing:read", "billing:write"],
    }


def test_nobody_says_an_account_for_himself() -> None:
    """Users are made by the operator alone, and their account never changes."""
    pool = issuer()["Pool"]["Properties"]
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert [(one["Name"], one["Mutable"]) for one in pool["Schema"]] == [("account_id", False)]


def test_who_is_nobody_gets_nothing() -> None:
    """A user without an account, and a scope that is not ours, open nothing."""
    assert token({"email": "a@example.com"}, "aws.cognito.signin.user.admin") == {"scopesToAdd": []}


# Figures


def test_queues_are_bounded_and_the_page_says_by_how_much() -> None:
    """Each mapping of a queue has its bound; together they come to what the page asks the Lambda quota for."""
    mappings = resources("AWS::Lambda::EventSourceMapping")
    queues = {
        name: mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
        for name, mapping in mappings.items()
        if "Queue" in mapping["EventSourceArn"]["Fn::GetAtt"][0]
    }
    assert [name for name, most in queues.items() if not most] == []
    assert f"The queues may use {sum(queues.values())} at once" in PAGE


def test_the_price_of_an_idle_stack_is_the_computed_one() -> None:
    """The page has the total of docs/scale.md, to the dollar, and what the alarms of deployments are of it."""
    whole = sum(total_usd(units) for units in Recorded.load().idle_month().values())
    assert f"**USD {whole:.0f} a month**" in PAGE
    table = scale.DOCUMENT.read_text(encoding="utf-8").partition("### An idle stack")[2]
    said = re.search(r"^\| all \| ([\d.]+) \|$", table, re.MULTILINE)
    assert said is not None
    assert f"{float(said[1]):.0f}" == f"{whole:.0f}"


def test_the_price_of_careful_deployments_is_the_computed_one() -> None:
    """Alarms that only stages have which deploy bit by bit are as many, and cost as much, as the page says."""
    conditional = [
        alarm["Properties"]
        for alarm in template().template["Resources"].values()
        if alarm["Type"] == "AWS::CloudWatch::Alarm" and alarm.get("Condition") == "IsGradual"
    ]
    metrics = sum(1 for alarm in conditional for one in alarm["Metrics"] if "MetricStat" in one)
    assert (len(conditional), metrics) == (3, 18)
    assert f"USD {usd('alarms', metrics):.2f} a month less" in PAGE


def test_alarms_of_the_first_day_are_announced() -> None:
    """Alarms that ring where there is no point ring in a new stack: the page says so, and so do their sections."""
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    ringing = {
        name for name, one in resources("AWS::CloudWatch::Alarm").items() if one["TreatMissingData"] == "breaching"
    }
    assert ringing == {"UncheckedAlarm", "NoVerificationAlarm", "UnsweptAlarm"}
    for name in ringing:
        assert name in PAGE.partition("**Alarms of the first day.**")[2].partition("\n\n")[0]
        assert "A new stack rings" in operations.partition(f"### {name}\n")[2].partition("\n#")[0], name


# Capabilities


def test_the_local_cloud_allows_no_more_than_a_stage() -> None:
    """What `sam deploy` is allowed on the local cloud is what each stage allows it."""
    configured = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    stages = {name: one for name, one in configured.items() if name != "version"}
    allowed = {name: one["deploy"]["parameters"]["capabilities"] for name, one in stages.items()}
    assert allowed == dict.fromkeys(("default", "staging", "production"), " ".join(CAPABILITIES))


def test_stages_allow_what_the_template_needs() -> None:
    """Roles of the stack and of the token issuer have no names of their own, which would want more than stages say."""
    roles = [*resources("AWS::IAM::Role").values(), issuer()["TriggerRole"]["Properties"]]
    assert len(roles) > 20
    assert [one["RoleName"] for one in roles if "RoleName" in one] == []
