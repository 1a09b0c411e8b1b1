"""Puts the built stack into the embedded cloud: the real template and artifacts, through CloudFormation."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local.emulator import REGION, ROOT, Emulator
from local.template import Template
from tools.build import host_architecture

if TYPE_CHECKING:
    from collections.abc import Mapping

STACK = "zhangben"
BUCKET = "artifacts"
BUILD = Path(os.environ.get("BUILD_DIR", ROOT / ".aws-sam" / "build"))
"""What `sam build` made."""
SAM = Path(os.environ.get("SAM", ROOT / ".venv-sam" / "bin" / "sam"))
"""The SAM CLI."""
CAPABILITIES = ["CAPABILITY_IAM"]
"""What samconfig.toml allows a stack: roles, but none with a name of its own."""
DEPLOY_SECONDS = 120
JWT_ISSUER = "https://local.zhangben.invalid"
JWT_AUDIENCE = "zhangben-local"
SENDER = "billing@zhangben.example"
"""The From of e-mails."""
_ARTIFACTS = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
_LAYER = "AWS::Serverless::LayerVersion"


class DeployError(Exception):
    """The stack could not be deployed."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack."""

    template: Template
    """As it was built, with the values of its parameters."""
    resources: Mapping[str, str]
    """Physical ids by logical id: table and function names, queue URLs."""
    outputs: Mapping[str, str]


def built_template(build: Path = BUILD) -> Template:
    """The built template as the sandbox deploys it. Raises DeployError when nothing is built."""
    path = build / "template.yaml"
    if not path.exists():
        message = f"nothing is built: {path} is missing; `sam build` makes it (`make build`)"
        raise DeployError(message)
    values = {"Sandbox": "true", "Architecture": host_architecture()}
    # SMS reach nobody here, so that they may go to numbers of every country.
    values |= {"JwtIssuer": JWT_ISSUER, "JwtAudience": JWT_AUDIENCE, "SenderEmail": SENDER, "SmsCountryCodes": ""}
    return Template.load(path, values, {"AWS::StackName": STACK, "AWS::Region": REGION})


def deploy(emulator: Emulator, build: Path = BUILD) -> Stack:
    """Create the stack, or bring the one of a kept state up to date."""
    template = built_template(build)
    packaged = json.dumps(_package(emulator.client("s3"), template, build)).encode()
    formation = emulator.client("cloudformation")
    arguments = {
        "StackName": STACK,
        # By its address: given as it is, a template may have 51,200 bytes.
        "TemplateURL": f"{emulator.url}/{BUCKET}/{_upload(emulator.client('s3'), packaged, 'json')}",
        # SAM's transform is a macro, which `sam deploy` has expanded in a change set before it asks for this.
        "Capabilities": [*CAPABILITIES, "CAPABILITY_AUTO_EXPAND"],
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in template.parameters.items()],
    }
    if _exists(formation):
        try:
            formation.update_stack(**arguments)
        except ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise
    else:
        formation.create_stack(**arguments)
    _await(formation)
    return read_stack(emulator, template)


def sam_deploy(emulator: Emulator, build: Path = BUILD, sam: Path = SAM, **parameters: str) -> Stack:
    """The same by the `sam deploy` that is used against AWS; slower. `parameters` are others than the sandbox's."""
    template = built_template(build).with_parameters(**parameters)
    _make_bucket(emulator.client("s3"))
    # An empty value needs its quotes, and must be given where the default is another one.
    overrides = [f"{key}={value}" if value else f'{key}=""' for key, value in template.parameters.items()]
    home = emulator.home / "tmp"
    command = [str(sam), "deploy", "--template-file", str(build / "template.yaml"), "--stack-name", STACK]
    command += ["--s3-bucket", BUCKET, "--region", REGION, "--no-confirm-changeset", "--no-progressbar"]
    command += ["--no-fail-on-empty-changeset", "--capabilities", *CAPABILITIES]
    command += ["--parameter-overrides", *overrides]
    done = subprocess.run(  # noqa: S603
        command,
        cwd=home,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "SAM_CLI_TELEMETRY": "0",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        message = f"sam deploy failed:\n{done.stdout}\n{done.stderr}"
        raise DeployError(message)
    return read_stack(emulator, template)


def read_stack(emulator: Emulator, template: Template) -> Stack:
    """The deployed stack as CloudFormation knows it."""
    formation = emulator.client("cloudformation")
    described = formation.describe_stacks(StackName=STACK)["Stacks"][0]
    listed = formation.describe_stack_resources(StackName=STACK)["StackResources"]
    return Stack(
        template=template,
        resources={entry["LogicalResourceId"]: entry["PhysicalResourceId"] for entry in listed},
        outputs={entry["OutputKey"]: entry["OutputValue"] for entry in described.get("Outputs", [])},
    )


def _exists(formation: Any) -> bool:
    try:
        stacks = formation.describe_stacks(StackName=STACK)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return bool(stacks)


def _await(formation: Any) -> None:
    deadline = time.monotonic() + DEPLOY_SECONDS
    status = ""
    while time.monotonic() < deadline:
        status = formation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
        if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            return
        if not status.endswith("_IN_PROGRESS"):
            break
        time.sleep(0.02)
    events = formation.describe_stack_events(StackName=STACK)["StackEvents"]
    reasons = [
        f"{e['LogicalResourceId']}: {e['ResourceStatusReason']}" for e in events if e.get("ResourceStatusReason")
    ]
    message = "\n".join([f"the stack is {status}", *reasons])
    raise DeployError(message)


# Artifacts


def _package(s3: Any, template: Template, build: Path) -> dict[str, Any]:
    """The template with its folders replaced by what was uploaded, as `sam package` does it."""
    _make_bucket(s3)
    document = dict(template.document)
    document["Resources"] = {
        name: _packaged(s3, resource, build) for name, resource in template.document["Resources"].items()
    }
    return document


def _make_bucket(s3: Any) -> None:
    existing = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    if BUCKET not in existing:
        s3.create_bucket(Bucket=BUCKET)


def _packaged(s3: Any, resource: dict[str, Any], build: Path) -> dict[str, Any]:
    name = _ARTIFACTS.get(resource["Type"])
    properties = resource.get("Properties", {})
    if name is None or not isinstance(properties.get(name), str):
        return resource
    folder = build / properties[name]
    data = _link(folder) if resource["Type"] == _LAYER else _zip(folder)
    key = _upload(s3, data, "zip")
    return {**resource, "Properties": {**properties, name: f"s3://{BUCKET}/{key}"}}


def _upload(s3: Any, data: bytes, suffix: str) -> str:
    """The key of the data, which names their content: so CloudFormation sees a change exactly when there is one."""
    key = f"{hashlib.sha256(data).hexdigest()}.{suffix}"
    s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    return key


def _zip(folder: Path) -> bytes:
    """The folder as a zip that depends on nothing but its content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.writestr(zipfile.ZipInfo(str(path.relative_to(folder))), path.read_bytes())
    return buffer.getvalue()


def _link(folder: Path) -> bytes:
    """A layer that points at its built folder.

    The emulator unpacks every layer anew for every worker. For tens of megabytes of libraries that is most
    of a cold start, so a layer of the local cloud holds the path of the built folder instead of its files.
    `sam_deploy` does without.
    """
    buffer = io.BytesIO()
    line = f"import sys; sys.path.insert(0, {str(folder.resolve() / 'python')!r})\n"
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("python/lib/python3.13/site-packages/built.pth"), line)
    return buffer.getvalue()
