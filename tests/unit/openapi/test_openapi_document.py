"""The served OpenAPI document."""

from __future__ import annotations

import json

from tests.support.product import template
from tools import openapi


def test_the_committed_document_is_that_of_the_routes() -> None:
    """Nobody changes a route without changing the document that others read."""
    assert openapi.TARGET.read_text(encoding="utf-8") == openapi.text(), "run: .venv/bin/python tools/openapi.py"


def test_the_document_describes_every_route_of_the_template_and_no_other() -> None:
    """What is deployed is what is described, the sandbox's own routes aside."""
    described = {
        f"{method.upper()} {path}"
        for path, operations in openapi.document()["paths"].items()
        for method in operations
        if not path.startswith("/sandbox/")
    }
    assert described == {route.key for route in template().routes()}


def test_every_route_asks_for_the_scopes_of_the_template() -> None:
    """The gateway and the function agree on who may call."""
    scopes = {route.key: sorted(route.scopes) for route in template().routes()}
    for path, operations in openapi.document()["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/sandbox/"):
                wanted = [scope for entry in operation["security"] for scope in entry["bearer"]]
                assert wanted == scopes[f"{method.upper()} {path}"], path


def test_every_route_takes_the_parameters_that_it_describes() -> None:
    """What is refused as an unknown parameter of a query is what the document does not name."""
    described = openapi.document()["paths"]
    for api in openapi.APIS:
        for route, names in api.queries.items():
            method, _, path = route.partition(" ")
            parameters = described[path][method.lower()].get("parameters", [])
            assert names == {one["name"] for one in parameters if one["in"] == "query"}, route


def test_every_reference_leads_somewhere() -> None:
    """A reader of the document finds every schema that it names."""
    text = json.dumps(openapi.document())
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(openapi.document()["components"]["schemas"])
