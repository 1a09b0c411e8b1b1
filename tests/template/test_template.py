"""template.yaml: the house rules hold, and it agrees with the contract and with the code."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
from cfnlint.decode import decode_str
from cfnlint.template import Template

from tests.template.linting import ROOT, findings
from tools.house_rules import _shared

SOURCE = (ROOT / "template.yaml").read_text(encoding="utf-8")

READ = {"billing:read", "billing:admin"}
WRITE = {"billing:write", "billing:admin"}
ADMIN = {"billing:admin"}
ANY = {"usage:write", "billing:read", "billing:write", "billing:admin"}
ACCOUNT = "/v1/accounts/{account_id}"
# The contract's tables, as far as they are built; None is public.
ROUTES: dict[str, set[str] | None] = {
    "POST /v1/usage": {"usage:write"},
    "POST /v1/accounts": ADMIN,
    f"GET {ACCOUNT}": READ,
    f"PATCH {ACCOUNT}": WRITE,
    f"POST {ACCOUNT}/service/application": WRITE,
    f"POST {ACCOUNT}/service/approval": ADMIN,
    f"POST {ACCOUNT}/service/rejection": ADMIN,
    f"POST {ACCOUNT}/top-ups": ADMIN,
    f"PUT {ACCOUNT}/violation": ADMIN,
    f"POST {ACCOUNT}/eid-merchants": WRITE,
    f"POST {ACCOUNT}/adjustments": ADMIN,
    f"POST {ACCOUNT}/vouchers": ADMIN,
    f"GET {ACCOUNT}/vouchers": READ,
    f"PUT {ACCOUNT}/discounts/{{tag}}": ADMIN,
    f"PUT {ACCOUNT}/contract-prices/{{tag}}": ADMIN,
    f"POST {ACCOUNT}/orders": WRITE,
    f"GET {ACCOUNT}/orders": READ,
    f"GET {ACCOUNT}/orders/{{order_id}}": READ,
    f"POST {ACCOUNT}/packages": ADMIN,
    f"GET {ACCOUNT}/packages": READ,
    f"GET {ACCOUNT}/packages/{{package_id}}/usage": READ,
    f"GET {ACCOUNT}/packages/{{package_id}}/refund-quote": READ,
    f"POST {ACCOUNT}/packages/{{package_id}}/refund": WRITE,
    f"PUT {ACCOUNT}/packages/{{package_id}}/refund-block": ADMIN,
    f"GET {ACCOUNT}/refunds": READ,
    f"GET {ACCOUNT}/refunds/{{refund_id}}": READ,
    f"GET {ACCOUNT}/entitlements/{{tag}}": READ | {"usage:write"},
    f"GET {ACCOUNT}/journal": READ,
    f"GET {ACCOUNT}/usage": READ,
    f"GET {ACCOUNT}/bills/resources": READ,
    f"GET {ACCOUNT}/bills/details": READ,
    f"GET {ACCOUNT}/bills/preview": READ,
    "GET /v1/catalog": ANY,
    "PUT /v1/prices/{tag}": ADMIN,
    "GET /v1/activities": ANY,
    "PUT /v1/activities/{activity_id}": ADMIN,
    "POST /v1/quotes": READ,
    "GET /healthz": None,
    "GET /v1/openapi.json": None,
}


@cache
def template() -> Template:
    """The template as cfn-lint reads it."""
    decoded, errors = decode_str(SOURCE)
    assert not errors
    return Template(None, decoded)


def resources(kind: str) -> dict[str, Any]:
    """Properties by name of the resources that would be deployed."""
    return dict(_shared.of_type(template(), kind))


def test_house_rules_hold() -> None:
    """The template keeps every house rule."""
    assert findings(SOURCE) == []


def test_routes_are_those_of_the_contract() -> None:
    """Every route that is built asks for the scopes that the contract names, and there is no other."""
    body = resources("AWS::ApiGatewayV2::Api")["Api"]["Body"]
    found: dict[str, set[str] | None] = {}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            (entry,) = operation["security"]
            ((scheme, scopes),) = entry.items()
            found[f"{method.upper()} {path}"] = set(scopes) if scheme == "Jwt" else None
    assert found == ROUTES


@pytest.mark.parametrize("function", sorted(resources("AWS::Lambda::Function")))
def test_handler_and_build_target_exist(function: str) -> None:
    """The handler's module is in the repository and `sam build` has a target for the function."""
    module, _ = resources("AWS::Lambda::Function")[function]["Handler"].rsplit(".", 1)
    assert (ROOT / "functions" / f"{module.replace('.', '/')}.py").is_file()
    makefile = (ROOT / "functions" / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^(build-\w+ )*build-{function}\b.*:", makefile, re.MULTILINE)


def test_queues_wait_for_their_consumers() -> None:
    """A message stays invisible for at least six times its consumer's time-out, so that it is not worked on twice."""
    functions, queues = resources("AWS::Lambda::Function"), resources("AWS::SQS::Queue")
    checked = 0
    for mapping in resources("AWS::Lambda::EventSourceMapping").values():
        queue = queues.get(str(_shared.target(mapping["EventSourceArn"])))
        if queue is not None:
            timeout = functions[str(_shared.target(mapping["FunctionName"]))]["Timeout"]
            assert queue["VisibilityTimeout"] >= 6 * timeout
            checked += 1
    assert checked == 2


def test_layer_has_every_service_that_policies_allow() -> None:
    """The runtime layer keeps the client model of each AWS service that a function may call."""
    makefile = (ROOT / "layers" / "runtime" / "Makefile").read_text(encoding="utf-8")
    kept = set(re.findall(r"^SERVICES = (.*)$", makefile, re.MULTILINE)[0].split())
    roles = {name: role for name, role in resources("AWS::IAM::Role").items() if name != "SchedulerRole"}
    # Logs and traces are written by Lambda itself.
    allowed = set(re.findall(r'"([a-z0-9]+):[A-Z]\w+"', json.dumps(list(roles.values())))) - {"sts", "logs", "xray"}
    assert allowed == kept


def test_schedules_are_those_of_the_decisions() -> None:
    """D3: settlement starts at 08:00 and is checked at 12:00; timers are swept; a sandbox stack runs none by itself."""
    schedules = resources("AWS::Scheduler::Schedule").values()
    assert {schedule["ScheduleExpression"] for schedule in schedules} == {
        "cron(0 8 * * ? *)",
        "cron(0 10 * * ? *)",
        "cron(0 12 * * ? *)",
        "rate(1 minute)",
    }
    for schedule in schedules:
        assert schedule["State"] == {"Fn::If": ["IsSandbox", "DISABLED", "ENABLED"]}
        assert "Name" not in schedule  # a fixed name would collide with that of another stack in the account


@pytest.mark.parametrize("function", sorted(resources("AWS::Lambda::Function")))
def test_function_is_told_only_of_tables_that_it_may_use(function: str) -> None:
    """The environment names exactly those of our resources that the function's role names, its triggers aside."""
    properties = resources("AWS::Lambda::Function")[function]
    role = resources("AWS::IAM::Role")[str(_shared.target(properties["Role"]))]
    rights = json.dumps(role["Policies"])
    told = {
        str(_shared.target(value))
        for name, value in properties["Environment"]["Variables"].items()
        if name.endswith(("_TABLE", "_QUEUE_URL"))
    }
    assert {name for name in told if name not in rights} == set()
    tables = set(resources("AWS::DynamoDB::Table"))
    used = {name for name in tables if re.search(rf'"{name}", "Arn"', rights) or f"${{{name}.Arn}}/index" in rights}
    assert used <= told
