"""`sam local invoke` as events/README.md tells it, as far as it goes without Docker."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.deploy import BUILD
from local.sam_local import added_variables, declaring, variables_of
from local.template import Template
from tests.local_invoke.rie import ROOT

ENDPOINT = "http://127.0.0.1:40123"
README = (ROOT / "events" / "README.md").read_text(encoding="utf-8")
SAM_PYTHON = ROOT / ".venv-sam" / "bin" / "python"
READ_COMMANDS = """
import json, sys
from samcli.commands.local.cli_common.invoke_context import InvokeContext
from samcli.commands.local.invoke.cli import cli
from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

found = {}
for arguments in json.load(sys.stdin):
    asked = cli.make_context("invoke", arguments).params
    template = asked["template_file"]
    if template not in found:
        stacks, _ = SamLocalStackProvider.get_stacks(template)
        functions = SamFunctionProvider(stacks)
        variables = InvokeContext._get_env_vars_value(asked["env_vars"])
        runner = LocalLambdaRunner(None, functions, ".", None, env_vars_values=variables)
        told = {one.name: runner._make_env_vars(one).resolve() for one in functions.get_all()}
        found[template] = told
    assert asked["function_logical_id"] in found[template], arguments
json.dump(found, sys.stdout)
"""


class Stack:
    """Stands for CloudFormation and Lambda of a deployed stack."""

    def __init__(self, template: Template) -> None:
        self._functions = [name for name, _ in template.of_type("AWS::Serverless::Function")]

    def describe_stack_resources(self, **asked: str) -> dict[str, Any]:
        """Every function of the template."""
        named = [{"LogicalResourceId": name, "PhysicalResourceId": f"real-{name}"} for name in self._functions]
        return {"StackResources": named if asked == {"StackName": "mine"} else []}

    def get_function_configuration(self, **asked: str) -> dict[str, Any]:
        """Variables as the stack has set them."""
        return {"Environment": {"Variables": {"LEDGER_TABLE": f"{asked['FunctionName']}-ledger", "SANDBOX": "true"}}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `python -m local.sam_local` writes, for a stack that stands by."""
    folder = tmp_path_factory.mktemp("sam")
    template = Template.load(BUILD / "template.yaml")
    added, stack = added_variables(ENDPOINT), Stack(template)
    variables = variables_of(template, stack, stack, "mine")
    (folder / "local.json").write_text(json.dumps(declaring(template, added)), encoding="utf-8")
    (folder / "env.json").write_text(json.dumps({name: {**own, **added} for name, own in variables.items()}))
    return folder


def commands() -> list[list[str]]:
    """The arguments of every `sam local invoke` of the page."""
    lines = re.findall(r"sam local invoke ([^`\n]+)", README)
    return [shlex.split(line) for line in lines if "Function" in line]


def test_the_sam_cli_understands_every_command(prepared: Path) -> None:
    """Each command has options and a function that the SAM CLI knows, and leads that function to the embedded cloud."""
    files = ["--template", str(prepared / "local.json"), "--env-vars", str(prepared / "env.json")]
    every = commands()
    assert all((ROOT / one[one.index("--event") + 1]).is_file() for one in every)
    # One of each kind: with these options in this order, and for each function.
    kinds = {(one[0], *(word for word in one if word.startswith("--"))): one for one in every}
    asked = [[*arguments, *files] for arguments in kinds.values()]
    done = subprocess.run(
        [SAM_PYTHON, "-c", READ_COMMANDS],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"HOME": str(prepared), "PATH": "/usr/bin:/bin", "SAM_CLI_TELEMETRY": "0"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = json.loads(done.stdout).values()
    assert len(told) == len({arguments[0] for arguments in every})
    for name, variables in told.items():
        assert variables["AWS_ENDPOINT_URL"] == "http://host.docker.internal:40123"
        assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "us-east-1"
        assert variables["SANDBOX"] == "true"
        assert variables.get("LEDGER_TABLE") in {None, f"real-{name}-ledger"}
