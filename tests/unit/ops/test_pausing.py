"""Stopping and starting a stack: consumers made anew by hand, those that are gone, and releases taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aws_platform import failures
from tests.template.test_template import resources
from tests.unit.ops.stacks import stack_with
from tools.ops import status
from tools.ops.consumers import _function_of, consumers
from tools.ops.pausing import REFRESHED, pause, refresh, resume
from tools.ops.redrive import ways
from tools.ops.stack import ALIAS, FUNCTION, MAPPING, QUEUE, SCHEDULE, OpsError, Stack

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
QUEUES = "arn:aws:sqs:us-east-1:000000000000:"
NAMES = ("IngestFunction", "PublishFunction", "RollupFunction")
RESOURCES = {
    **{name: (FUNCTION, name.lower()) for name in NAMES},
    **{f"{name}Aliaslive": (ALIAS, f"{ARN}{name.lower()}:live") for name in NAMES},
    "IngestFunctionQueue": (MAPPING, "uuid-ingest"),
    "PublishFunctionLedgerStream": (MAPPING, "uuid-publish"),
    "RollupFunctionUsageStream": (MAPPING, "uuid-rollup"),
    "PublishDeadLetterQueue": (QUEUE, "https://sqs.example/dead"),
    "Plan": (SCHEDULE, "group/plan"),
}
"""Of a stack with three consumers and a schedule."""


class Lambda:
    """Lambda as these commands use it."""

    def __init__(self) -> None:
        self.mappings = {
            uuid: self._mapping(uuid, function)
            for uuid, function in (("uuid-ingest", "ingest"), ("uuid-publish", "publish"), ("uuid-rollup", "rollup"))
        }
        self.stuck: set[str] = set()
        """Mappings that cannot be changed."""
        self.slow: set[str] = set()
        """Mappings that never come to an end with it."""
        self.stopped = {name.lower() for name in NAMES}
        self.versions: dict[str, dict[str, dict[str, Any]]] = {}
        self.aliases: dict[str, dict[str, Any]] = {}
        for name in self.stopped:
            code = {"CodeSha256": "right", "Layers": [{"Arn": "layer:1"}], "Environment": {"Variables": {}}}
            self.versions[name] = {"$LATEST": code, "1": dict(code)}
            self.aliases[name] = {"Name": "live", "FunctionVersion": "1"}

    @staticmethod
    def _mapping(uuid: str, function: str) -> dict[str, Any]:
        failure = (
            {"DestinationConfig": {"OnFailure": {"Destination": f"{QUEUES}dead"}}} if function == "publish" else {}
        )
        return {"UUID": uuid, "FunctionArn": f"{ARN}{function}function:live", "State": "Disabled", **failure}

    def make_anew(self, uuid: str) -> None:
        """Delete the mapping of a function that has one, and make it again by hand, under another UUID."""
        old = self.mappings.pop(uuid)
        self.mappings[f"{uuid}-anew"] = {**old, "UUID": f"{uuid}-anew"}

    def get_paginator(self, _name: str) -> Lambda:
        """Of `list_event_source_mappings`."""
        return self

    def paginate(self, FunctionName: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - Lambda's name
        """One mapping a page."""
        for one in self.mappings.values():
            if one["FunctionArn"] == FunctionName:
                yield {"EventSourceMappings": [one]}

    def get_event_source_mapping(self, **asked: Any) -> dict[str, Any]:
        """What is known of a mapping."""
        slow = {"State": "Updating"} if asked["UUID"] in self.slow else {}
        return self.mappings[asked["UUID"]] | slow

    def update_event_source_mapping(self, **asked: Any) -> None:
        """Turn one on or off."""
        if asked["UUID"] not in self.mappings or asked["UUID"] in self.stuck:
            raise ClientError({"Error": {"Code": "ResourceInUseException"}}, "UpdateEventSourceMapping")
        self.mappings[asked["UUID"]]["State"] = "Enabled" if asked["Enabled"] else "Disabled"

    def put_function_concurrency(self, **asked: Any) -> None:
        """Stop a function."""
        self.stopped.add(asked["FunctionName"])

    def delete_function_concurrency(self, **asked: Any) -> None:
        """Start it again."""
        self.stopped.discard(asked["FunctionName"])

    def list_aliases(self, **asked: Any) -> dict[str, Any]:
        """The one alias."""
        return {"Aliases": [self.aliases[asked["FunctionName"]]]}

    def get_function_configuration(self, **asked: Any) -> dict[str, Any]:
        """Of a version."""
        return self.versions[asked["FunctionName"]][asked.get("Qualifier", "$LATEST")]

    def update_function_configuration(self, **asked: Any) -> None:
        """Of the unpublished one."""
        versions = self.versions[asked["FunctionName"]]
        versions["$LATEST"] = {**versions["$LATEST"], "Environment": asked["Environment"]}

    def get_waiter(self, _name: str) -> Lambda:
        """A function is changed at once."""
        return self

    def wait(self, **_asked: Any) -> None:
        """See `get_waiter`."""

    def publish_version(self, **asked: Any) -> dict[str, Any]:
        """The next version."""
        versions = self.versions[asked["FunctionName"]]
        number = str(len(versions))
        versions[number] = versions["$LATEST"]
        return {"Version": number}

    def update_alias(self, **asked: Any) -> None:
        """Lead it to another version."""
        self.aliases[asked["FunctionName"]]["FunctionVersion"] = asked["FunctionVersion"]

    def list_function_event_invoke_configs(self, **_asked: Any) -> dict[str, Any]:
        """No function has any."""
        return {}


class Scheduler:
    """EventBridge Scheduler with one schedule."""

    def __init__(self) -> None:
        self.schedule: dict[str, Any] = {"Name": "plan", "State": "DISABLED", "Target": {"Arn": ARN}}

    def get_schedule(self, **_asked: Any) -> dict[str, Any]:
        """As it is."""
        return dict(self.schedule)

    def update_schedule(self, **asked: Any) -> None:
        """Replace it."""
        self.schedule = asked


class Queues:
    """SQS with queues, of which one is of dead letters."""

    def get_queue_attributes(self, **asked: Any) -> dict[str, Any]:
        """The ARN of one."""
        return {"Attributes": {"QueueArn": f"{QUEUES}{asked['QueueUrl'].rpartition('/')[2]}"}}


@pytest.fixture
def functions() -> Lambda:
    """The functions of a paused stack, and their mappings."""
    return Lambda()


@pytest.fixture
def scheduler() -> Scheduler:
    """Its schedule."""
    return Scheduler()


@pytest.fixture
def stack(functions: Lambda, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack; nobody waits."""
    monkeypatch.setattr(failures, "sleep", lambda _: None)
    return stack_with(RESOURCES, **{"lambda": functions}, scheduler=scheduler, sqs=Queues())


def states(functions: Lambda) -> dict[str, str]:
    """How the mappings are."""
    return {uuid: one["State"] for uuid, one in functions.mappings.items()}


# Consumers


def test_every_consumer_of_the_template_is_found_by_its_function() -> None:
    """The name of a mapping begins with that of the function that it calls, which has no other one."""
    mappings, functions = resources("AWS::Lambda::EventSourceMapping"), resources("AWS::Lambda::Function")
    called = {name: mapping["FunctionName"]["Ref"] for name, mapping in mappings.items()}
    assert {name: f"{_function_of(name, functions)}Aliaslive" for name in mappings} == called
    assert len(set(called.values())) == len(mappings)


def test_a_consumer_that_was_made_anew_is_found(stack: Stack, functions: Lambda) -> None:
    """A mapping that CloudFormation does not know stands for the one in whose place it was made."""
    functions.make_anew("uuid-rollup")
    found = {one.name: one.mapping and one.mapping["UUID"] for one in consumers(stack)}
    assert found == {
        "IngestFunctionQueue": "uuid-ingest",
        "PublishFunctionLedgerStream": "uuid-publish",
        "RollupFunctionUsageStream": "uuid-rollup-anew",
    }


def test_the_old_and_the_new_one_are_both_there(stack: Stack, functions: Lambda) -> None:
    """As long as the old mapping is not deleted, both are turned on and off."""
    functions.mappings["by-hand"] = {**functions.mappings["uuid-rollup"], "UUID": "by-hand"}
    found = [one.mapping and one.mapping["UUID"] for one in consumers(stack) if one.name.startswith("Rollup")]
    assert found == ["uuid-rollup", "by-hand"]


def test_letters_of_a_consumer_that_was_made_anew_know_their_way(stack: Stack, functions: Lambda) -> None:
    """Dead letters of a stream go to its function, whoever made the mapping, and also where another one is gone."""
    functions.make_anew("uuid-publish")
    del functions.mappings["uuid-rollup"]
    way = ways(stack)["PublishDeadLetterQueue"]
    assert str(way) == "whose records go to PublishFunction again"


def test_the_status_names_consumers_that_are_off_or_gone(stack: Stack, functions: Lambda) -> None:
    """Nobody else tells of a consumer that is off: alarms of its delay get no data."""
    functions.make_anew("uuid-publish")
    functions.mappings["uuid-publish-anew"]["State"] = "Enabled"
    del functions.mappings["uuid-rollup"]
    off, gone = status._mappings(stack)
    assert off.split() == ["CONSUMER", "OFF", "IngestFunctionQueue:", "Disabled"]
    assert gone.startswith("CONSUMER GONE           RollupFunctionUsageStream: docs/operations.md#a-table-as-it-was")


# Pause and resume


def test_all_of_it_starts(stack: Stack, functions: Lambda, scheduler: Scheduler) -> None:
    """A paused stack goes on in new processes, with all consumers and schedules; paused again it stops."""
    functions.make_anew("uuid-rollup")
    assert resume(stack, hold="", dry=False) == 0
    assert set(states(functions).values()) == {"Enabled"}
    assert (functions.stopped, scheduler.schedule["State"]) == (set(), "ENABLED")
    assert pause(stack, dry=False) == 0
    assert set(states(functions).values()) == {"Disabled"}
    assert (len(functions.stopped), scheduler.schedule["State"]) == (len(NAMES), "DISABLED")


def test_one_that_was_made_anew_is_held(stack: Stack, functions: Lambda) -> None:
    """Whoever holds a consumer by its name holds the one that was made in its place."""
    functions.make_anew("uuid-rollup")
    assert resume(stack, hold="RollupFunctionUsageStream", dry=False) == 0
    assert states(functions)["uuid-rollup-anew"] == "Disabled"


def test_a_consumer_that_is_gone_holds_up_nothing(
    stack: Stack, functions: Lambda, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without one of the consumers the stack starts and stops all the same; it is named, and the start is not whole."""
    del functions.mappings["uuid-rollup"]
    assert resume(stack, hold="", dry=False) == 1
    assert (set(states(functions).values()), scheduler.schedule["State"]) == ({"Enabled"}, "ENABLED")
    assert "RollupFunctionUsageStream is gone" in capsys.readouterr().out
    assert pause(stack, dry=False) == 0
    assert (set(states(functions).values()), scheduler.schedule["State"]) == ({"Disabled"}, "DISABLED")


@pytest.mark.parametrize("how", ["stuck", "slow"])
def test_a_consumer_that_does_not_change_holds_up_nothing(
    stack: Stack, functions: Lambda, scheduler: Scheduler, how: str
) -> None:
    """Where one consumer cannot be turned on or off all else is, and the command ends with an error that names it."""
    getattr(functions, how).add("uuid-ingest")
    with pytest.raises(OpsError, match="all is done but consumers: IngestFunctionQueue"):
        resume(stack, hold="", dry=False)
    assert (states(functions)["uuid-rollup"], scheduler.schedule["State"]) == ("Enabled", "ENABLED")
    with pytest.raises(OpsError, match="all is done but consumers: IngestFunctionQueue"):
        pause(stack, dry=False)
    assert (states(functions)["uuid-rollup"], len(functions.stopped)) == ("Disabled", len(NAMES))


# New processes


def test_new_processes_are_of_what_was_deployed(stack: Stack, functions: Lambda) -> None:
    """The alias leads to a new version, with the same code, again and again."""
    for number in ("2", "3"):
        refresh(stack, ["ingestfunction"])
        assert functions.aliases["ingestfunction"]["FunctionVersion"] == number
    published = functions.versions["ingestfunction"]["3"]
    assert (published["CodeSha256"], published["Environment"]["Variables"]) == ("right", {REFRESHED: "2"})


@pytest.mark.parametrize("change", [{"CodeSha256": "bad"}, {"Layers": [{"Arn": "layer:2"}]}])
def test_a_release_that_was_taken_back_stays_so(stack: Stack, functions: Lambda, change: dict[str, Any]) -> None:
    """Where an alias was led back to an older version nothing is done, for that would bring the newer one back."""
    functions.versions["rollupfunction"]["$LATEST"] |= change
    with pytest.raises(OpsError, match="RollupFunction: live is version 1, not what was deployed last"):
        resume(stack, hold="", dry=False)
    assert {len(versions) for versions in functions.versions.values()} == {2}
    assert len(functions.stopped) == len(NAMES)


def test_no_new_processes_while_calls_move(stack: Stack, functions: Lambda) -> None:
    """In the middle of a deployment nothing is done: all calls would be of the new release at once."""
    functions.aliases["ingestfunction"]["RoutingConfig"] = {"AdditionalVersionWeights": {"2": 0.1}}
    with pytest.raises(OpsError, match="IngestFunction: calls are moving"):
        refresh(stack, ["ingestfunction"])
