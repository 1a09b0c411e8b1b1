"""Makes ready for `sam local invoke`: the variables of a stack's functions, and a template that lets them through.

    python -m local.sam_local http://127.0.0.1:40123    the embedded cloud of `make local`, by its AWS endpoint
    python -m local.sam_local --stack zhangben-dev      a stack in AWS, with the caller's credentials

`sam local invoke --env-vars` passes on only variables that the template declares, and the region is the caller's. So
the built template is written once more, with the endpoint and the region declared for every function.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3

from local.deploy import BUILD, STACK
from local.emulator import REGION
from local.template import Template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HOST = "host.docker.internal"
"""By this name a container finds the machine that it runs on."""
_FUNCTION = "AWS::Serverless::Function"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both files beside the built template, and say where they are."""
    asked = _parser().parse_args(arguments)
    added: dict[str, str] = {}
    session = boto3.session.Session()
    if asked.endpoint:
        added = added_variables(asked.endpoint, asked.host)
        session = boto3.session.Session("test", "test", region_name=REGION)
    formation, functions = (
        session.client(service, endpoint_url=asked.endpoint or None) for service in ("cloudformation", "lambda")
    )
    template = Template.load(BUILD / "template.yaml")
    variables = variables_of(template, formation, functions, asked.stack)
    files = {
        "local.json": declaring(template, added),
        "env.json": {name: {**own, **added} for name, own in variables.items()},
    }
    for name, content in files.items():
        path = BUILD / name
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")
        print(os.path.relpath(path, Path.cwd()))
    return 0


def added_variables(endpoint: str, host: str = HOST) -> dict[str, str]:
    """What leads a function in a container to the embedded cloud, whose address on this machine is `endpoint`."""
    port = urlsplit(endpoint).port
    region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
    return {"AWS_ENDPOINT_URL": f"http://{host}:{port}", **region}


def variables_of(template: Template, formation: Any, functions: Any, stack: str) -> dict[str, dict[str, str]]:
    """The variables of each function of a deployed stack, by logical id: its tables and queues by their real names."""
    listed = formation.describe_stack_resources(StackName=stack)["StackResources"]
    physical = {entry["LogicalResourceId"]: entry["PhysicalResourceId"] for entry in listed}
    found = {}
    for name, _ in template.of_type(_FUNCTION):
        configured = functions.get_function_configuration(FunctionName=physical[name])
        found[name] = dict(configured.get("Environment", {}).get("Variables", {}))
    return found


def declaring(template: Template, variables: Mapping[str, str]) -> dict[str, Any]:
    """The template with these variables declared for every function."""
    shared = template.document.get("Globals", {})
    function = shared.get("Function", {})
    declared = {**function.get("Environment", {}).get("Variables", {}), **variables}
    changed = {**function, "Environment": {"Variables": declared}}
    return {**template.document, "Globals": {**shared, "Function": changed}}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.sam_local", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("endpoint", nargs="?", default="", help="AWS endpoint that `make local` tells; else AWS itself")
    parser.add_argument("--host", default=HOST, help="how a container calls this machine")
    parser.add_argument("--stack", default=STACK, help="name of the stack")
    return parser


if __name__ == "__main__":
    sys.exit(main())
