"""What the served OpenAPI document allows and what it forbids, sent by everybody; `make attack` sends far more."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from aws_platform import problems
from tests.attacks.fuzzing import Run, attack
from tests.attacks.runs import short_runs
from tests.attacks.site import Site
from tests.attacks.stage import CUSTOMER, NOBODY, OPERATOR, ROLES, STRANGER, Stage, staged
from tests.support.product import template


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Two accounts with something of everything."""
    with staged() as made:
        yield made


@pytest.mark.parametrize("run", short_runs(), ids=lambda run: f"{run.role.name}, {' and '.join(run.phases)} {run.only}")
def test_nothing_fails_and_everything_is_as_documented(stage: Stage, run: Run) -> None:
    """No 5xx; what is allowed is taken, what is forbidden refused, each answer as declared, each error a problem."""
    site, findings = attack(stage, run)
    assert not findings, "\n".join(map(str, findings))
    reached = {route for route, _, _ in site.answers}
    assert reached == {route.key for route in template().routes() if run.attacks(route.key)}


def test_everybody_attacks() -> None:
    """Each of the roles, also those that may do nothing, sends something to every route in `make test`."""
    routes = [route.key for route in template().routes() if "/sandbox/" not in route.key]
    everything = [run.role for run in short_runs() if all(map(run.attacks, routes))]
    assert everything == list(ROLES)


def test_requests_reach_deep(stage: Stage) -> None:
    """Most requests of a customer to one of its packages find it: ids and keys are real often enough."""
    site, _ = attack(stage, Run(CUSTOMER, ("fuzzing",), examples=8, only="/packages/{package_id}"))
    outcomes: Counter[int] = Counter()
    for (_, status, _), number in site.answers.items():
        outcomes[status] += number
    assert outcomes[HTTPStatus.OK] + outcomes[HTTPStatus.ACCEPTED] > outcomes[HTTPStatus.NOT_FOUND]


ONE = "/v1/accounts/{account_id}/eid-merchants"


def test_the_attack_sees_a_server_error(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that fails is found."""

    def fail(*_: object) -> None:
        raise problems.internal_error()

    monkeypatch.setattr("accounts.handler.service.check_may_have", fail)
    _, findings = attack(stage, Run(OPERATOR, ("examples", "coverage"), only=ONE))
    assert {"not_a_server_error", "answer"} <= {finding.check for finding in findings}


def test_the_attack_sees_what_should_be_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that the document forbids and the product takes is found, and one that is refused although allowed."""
    real = stage.product.invoke

    def answered(function: str, event: Any) -> Any:
        if event["routeKey"] != f"POST {ONE}":
            return real(function, event)
        body = {"merchant_id": "m", "granted_at": "2025-03-01T10:00:00+08:00"}
        refusal = problems.invalid_request(problems.FieldError("merchant_id", "never"))
        good = '{"merchant_id": "' in event.get("body", "")
        taken = {"statusCode": 201, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
        return refusal.response() if good else taken

    monkeypatch.setattr(stage.product, "invoke", answered)
    _, findings = attack(stage, Run(OPERATOR, ("coverage",), only=ONE))
    assert {"negative_data_rejection", "positive_data_acceptance"} <= {finding.check for finding in findings}


@pytest.mark.parametrize("role", [NOBODY, STRANGER], ids=lambda role: role.name)
def test_the_attack_sees_an_open_door(stage: Stage, monkeypatch: pytest.MonkeyPatch, role: Any) -> None:
    """A success for somebody who may not is found, whatever was sent."""
    taken = {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": "{}"}
    monkeypatch.setattr(stage.product, "invoke", lambda *_: taken)
    site = Site(stage, role)
    environ = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/v1/accounts/acct-1", "wsgi.input": io.BytesIO()}
    list(site(environ, lambda *_: None))
    assert site.wrong
