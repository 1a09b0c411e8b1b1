"""What the local cloud needs to know of `template.yaml`: routes, authorizer, schedules, queues and streams.

The file is read as it is deployed. Short forms of CloudFormation (`!Ref`, `!Sub`, …) become their long
ones, and those that depend on parameters alone are worked out. What depends on resources stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

type Json = Any


# YAML with CloudFormation's short forms; read by libyaml where PyYAML has it, which takes a tenth of the time.
_Loader: Any = type("_Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Json:
    value: Json
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
# A version such as 2010-09-09 is text here, not a date.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Authorizer:
    """The JWT authorizer of the API: who signs its tokens and for whom."""

    issuer: str
    audience: tuple[str, ...]


@dataclass(frozen=True)
class Route:
    """One route of the API; `authorizer` is None where everybody may call."""

    method: str
    path: str
    function: str
    authorizer: Authorizer | None
    scopes: tuple[str, ...]

    @property
    def key(self) -> str:
        """API Gateway's name of the route."""
        return "$default" if self.path == "$default" else f"{self.method} {self.path}"


@dataclass(frozen=True)
class Schedule:
    """One schedule of the template and the function that it calls."""

    name: str
    expression: str
    zone: str
    function: str
    input: str | None


@dataclass(frozen=True)
class Template:
    """A template with the values of its parameters."""

    document: Mapping[str, Json]
    parameters: Mapping[str, str] = field(default_factory=dict)
    pseudo: Mapping[str, str] = field(default_factory=dict)
    """Values of CloudFormation's own parameters, such as `AWS::StackName`."""

    @classmethod
    def load(
        cls, path: Path, parameters: Mapping[str, str] | None = None, pseudo: Mapping[str, str] | None = None
    ) -> Template:
        """Read a template; parameters that are not given have their defaults."""
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506
        return cls(document, _with_defaults(document, parameters or {}), pseudo or {})

    def with_parameters(self, **values: str) -> Template:
        """The same template with other parameter values."""
        return Template(self.document, {**self.parameters, **values}, self.pseudo)

    @property
    def resources(self) -> Mapping[str, Json]:
        """The resources by logical id."""
        found: Mapping[str, Json] = self.document["Resources"]
        return found

    def of_type(self, *kinds: str) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """Logical id and properties of the resources of these types, in the template's order."""
        for name, resource in self.resources.items():
            if resource["Type"] in kinds and self._is_made(resource):
                yield name, resource.get("Properties", {})

    def _is_made(self, resource: Mapping[str, Json]) -> bool:
        name = resource.get("Condition")
        return name is None or self._condition(name)

    # Working out intrinsic functions

    @property
    def _values(self) -> Mapping[str, str]:
        return {**self.pseudo, **self.parameters}

    def value(self, node: Json) -> Json:
        """The node with everything worked out that depends on parameters alone."""
        if isinstance(node, list):
            return [self.value(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            name, argument = next(iter(node.items()))
            if name == "Ref" and argument in self._values:
                return self._values[argument]
            if name == "Fn::If":
                test, positive, negative = argument
                return self.value(positive if self._condition(test) else negative)
            if name == "Fn::Sub" and isinstance(argument, str):
                return self._substitute(node, argument)
        return {key: self.value(item) for key, item in node.items()}

    def _substitute(self, node: Json, text: str) -> Json:
        names = re.findall(r"\$\{([^!}]+)\}", text)
        if not all(name in self._values for name in names):
            return node
        return re.sub(r"\$\{([^!}]+)\}", lambda match: self._values[match[1]], text)

    def _condition(self, name: str) -> bool:
        return self._test(self.document["Conditions"][name])

    def _test(self, node: Mapping[str, Json]) -> bool:
        name, argument = next(iter(node.items()))
        match name:
            case "Fn::Equals":
                left, right = self.value(argument)
                return bool(left == right)
            case "Fn::Not":
                return not self._test(argument[0])
            case "Fn::And":
                return all(self._test(item) for item in argument)
            case "Fn::Or":
                return any(self._test(item) for item in argument)
            case "Condition":
                return self._condition(argument)
        message = f"a condition of the template uses {name}, which the local cloud cannot work out"
        raise ValueError(message)

    # What functions listen to

    def _events(self, *kinds: str) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
        for function, properties in self.of_type("AWS::Serverless::Function"):
            for name, event in properties.get("Events", {}).items():
                if event["Type"] in kinds:
                    yield function, name, event.get("Properties", {})

    def routes(self) -> list[Route]:
        """Every HTTP route that the template gives to a function."""
        return [self._route(function, event) for function, _, event in self._events("HttpApi")]

    def _route(self, function: str, event: Mapping[str, Json]) -> Route:
        api = self._api_auth(event.get("ApiId"))
        auth = self.value(event.get("Auth", {}))
        name = auth.get("Authorizer", api.get("DefaultAuthorizer"))
        authorizer, usual_scopes = (None, ()) if name in {None, "NONE"} else _authorizer(api, name)
        return Route(
            method=str(event.get("Method", "ANY")).upper(),
            path=str(self.value(event.get("Path", "$default"))),
            function=function,
            authorizer=authorizer,
            scopes=tuple(auth.get("AuthorizationScopes", usual_scopes)) if authorizer else (),
        )

    def _api_auth(self, reference: Json) -> Mapping[str, Json]:
        name = reference.get("Ref") if isinstance(reference, dict) else reference
        of_all = self.document.get("Globals", {}).get("HttpApi", {}).get("Auth", {})
        own = self.resources.get(str(name), {}).get("Properties", {}).get("Auth", {})
        merged: Mapping[str, Json] = self.value({**of_all, **own})
        return merged

    def schedules(self) -> list[Schedule]:
        """Every schedule that is enabled in production, in the template's order."""
        production = self.with_parameters(Sandbox="false") if "Sandbox" in self.parameters else self
        found = []
        for function, name, event in self._events("ScheduleV2", "Schedule"):
            properties = production.value(event)
            if properties.get("State", "ENABLED") == "DISABLED" or properties.get("Enabled") is False:
                continue
            found.append(
                Schedule(
                    name=given if isinstance(given := properties.get("Name"), str) else f"{function}{name}",
                    expression=str(properties.get("ScheduleExpression", properties.get("Schedule"))),
                    zone=str(properties.get("ScheduleExpressionTimezone", "UTC")),
                    function=function,
                    input=properties.get("Input"),
                )
            )
        return found

    def working_queues(self) -> list[str]:
        """Logical ids of the queues that functions work off; so no dead-letter queue."""
        found = [_target(event.get("Queue")) for _, _, event in self._events("SQS")]
        return list(dict.fromkeys(name for name in found if name))

    def fed_queues(self) -> set[str]:
        """Logical ids of the queues that a bus or a topic fills."""
        rules = (rule.get("Targets", ()) for _, rule in self.of_type("AWS::Events::Rule"))
        aims = [_target(target.get("Arn")) for targets in rules for target in targets]
        aims += [_target(one.get("Endpoint")) for _, one in self.of_type("AWS::SNS::Subscription")]
        return {name for name in aims if name is not None}

    def streamed_tables(self) -> list[str]:
        """Logical ids of the tables whose stream calls a function."""
        found = [_target(event.get("Stream")) for _, _, event in self._events("DynamoDB")]
        return list(dict.fromkeys(name for name in found if name))


def _with_defaults(document: Mapping[str, Json], given: Mapping[str, str]) -> dict[str, str]:
    declared = document.get("Parameters", {})
    defaults = {name: str(about["Default"]) for name, about in declared.items() if "Default" in about}
    return {**defaults, **{name: value for name, value in given.items() if name in declared}}


def _authorizer(api: Mapping[str, Json], name: str) -> tuple[Authorizer, tuple[str, ...]]:
    about = api["Authorizers"][name]
    settings = about["JwtConfiguration"]
    audience = settings["audience"]
    issuer = settings["issuer"]
    # A parameter that is a list has its values with commas between.
    listed = audience.split(",") if isinstance(audience, str) else audience
    parts = tuple(listed) if isinstance(listed, list) else (listed,)
    if not isinstance(issuer, str) or not all(isinstance(part, str) for part in parts):
        message = f"the issuer and audience of authorizer {name} must follow from the template's parameters"
        raise TypeError(message)
    return Authorizer(issuer, parts), tuple(about.get("AuthorizationScopes", ()))


def _target(reference: Json) -> str | None:
    """The logical id that a `!GetAtt` or `!Ref` points at."""
    if isinstance(reference, dict):
        if "Fn::GetAtt" in reference:
            return str(reference["Fn::GetAtt"][0])
        if "Ref" in reference:
            return str(reference["Ref"])
    return None
