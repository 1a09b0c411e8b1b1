"""Routes of the HTTP API: closed unless named here."""

from __future__ import annotations

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared

PUBLIC = frozenset({("/healthz", "get"), ("/v1/openapi.json", "get")})


class RouteScopes(CloudFormationLintRule):
    """A route asks for a token with a scope, or is one of the public ones."""

    id = "E9009"
    shortdesc = "Every route of the HTTP API has an authorizer and scopes, or is on the public list"
    description = "A route that was forgotten would be open to everyone, or to every token there is"
    tags = ("house", "apigateway")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find routes that are more open than meant."""
        found = []
        for name, api in _shared.of_type(cfn, "AWS::ApiGatewayV2::Api"):
            body = api.get("Body", {})
            schemes = body.get("components", {}).get("securitySchemes", {})
            for path, methods in body.get("paths", {}).items():
                for method, operation in methods.items():
                    if (path, method) in PUBLIC:
                        continue
                    asked = operation.get("security") or [{}]
                    closed = all(
                        entry and all(scheme in schemes and scopes for scheme, scopes in entry.items())
                        for entry in asked
                    )
                    if not closed:
                        found.append(_shared.at(name, f"{method.upper()} {path} needs an authorizer and scopes"))
        return found + [
            _shared.at(name, "routes belong to functions' HttpApi events, where their scopes are")
            for name, _ in _shared.of_type(cfn, "AWS::ApiGatewayV2::Route")
        ]
