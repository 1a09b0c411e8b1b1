"""Stopping everything that writes, and starting it again with new processes.

Paused, a stack loses nothing for a day: queues keep messages, streams their records, schedules are made up for by the
next run. Producers hear 503 and send again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from aws_platform import failures
from tools.ops.consumers import MAKE_AGAIN, Consumer, consumers
from tools.ops.stack import FUNCTION, MAPPING, SCHEDULE, OpsError, Stack

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import AliasConfigurationTypeDef, FunctionConfigurationResponseTypeDef
    from mypy_boto3_scheduler.literals import ScheduleStateType

REFRESHED = "REFRESHED"
"""How often that was asked for: the variable whose change makes Lambda start new processes."""
_LONGEST_CHANGE_SECONDS = 120


def pause(stack: Stack, *, dry: bool) -> int:
    """Stop schedules, then consumers of queues and streams, then every function."""
    _tell(stack, "off")
    if not dry:
        _schedules(stack, "DISABLED")
        failed = _switch(stack, consumers(stack), enabled=False)
        for name in stack.of_type(FUNCTION).values():
            stack.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        _check(failed)
        print("paused: nothing reads or writes any more but these commands; streams remember a day")
    return 0


def resume(stack: Stack, *, hold: str, dry: bool) -> int:
    """Start all of it again, in new processes: what an old one remembers of the tables may no longer be so.

    The consumer to `hold`, a mapping's logical id, stays off. 1 where one is gone: nobody takes what is for it. Raises
    OpsError where there is none to hold of this name, and where one does not start, after all the others have.
    """
    if hold and hold not in stack.of_type(MAPPING):
        msg = f"HOLD is one of {', '.join(stack.of_type(MAPPING))}"
        raise OpsError(msg)
    _tell(stack, f"on, in new processes{f'; {hold} stays off' if hold else ''}")
    if dry:
        return 0
    functions = list(stack.of_type(FUNCTION).values())
    refresh(stack, functions)
    for name in functions:
        stack.functions.delete_function_concurrency(FunctionName=name)
    found = consumers(stack)
    failed = _switch(stack, [one for one in found if one.name != hold], enabled=True)
    _schedules(stack, "ENABLED")
    _check(failed)
    print("resumed: make ops-status tells whether everything comes along")
    return 1 if any(one.mapping is None for one in found) else 0


def refresh(stack: Stack, functions: Sequence[str]) -> None:
    """Have functions run in new processes, those that aliases lead to as well.

    Raises OpsError, before anything is done, where an alias leads to something else than what was deployed last.
    """
    aliases = {name: stack.functions.list_aliases(FunctionName=name)["Aliases"] for name in functions}
    other = [why for name in functions for alias in aliases[name] if (why := _other_release(stack, name, alias))]
    if other:
        msg = (
            f"{'; '.join(other)}. New processes would be of what was deployed last: wait for the end of a deployment, "
            "or deploy the release that is to run (docs/deploy.md, Going back), then repeat the command"
        )
        raise OpsError(msg)
    for name in functions:
        configured = stack.functions.get_function_configuration(FunctionName=name)
        variables = configured.get("Environment", {}).get("Variables", {})
        variables = {**variables, REFRESHED: str(int(variables.get(REFRESHED, "0")) + 1)}
        stack.functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    for name in functions:
        stack.functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        version = stack.functions.publish_version(FunctionName=name)["Version"] if aliases[name] else ""
        for alias in aliases[name]:
            stack.functions.update_alias(FunctionName=name, Name=alias["Name"], FunctionVersion=version)


def _other_release(stack: Stack, name: str, alias: AliasConfigurationTypeDef) -> str:
    """What an alias leads to beside what was deployed last, in words; empty where it is just that."""
    if alias.get("RoutingConfig", {}).get("AdditionalVersionWeights"):
        return f"{stack.logical(name)}: calls are moving to another version"
    latest = stack.functions.get_function_configuration(FunctionName=name)
    live = stack.functions.get_function_configuration(FunctionName=name, Qualifier=alias["FunctionVersion"])
    if _release(live) == _release(latest):
        return ""
    return f"{stack.logical(name)}: {alias['Name']} is version {alias['FunctionVersion']}, not what was deployed last"


def _release(configured: FunctionConfigurationResponseTypeDef) -> tuple[str, list[str]]:
    """The code that a version runs: its own, and that of its layers."""
    return configured["CodeSha256"], [layer["Arn"] for layer in configured.get("Layers", [])]


def is_paused(stack: Stack) -> bool:
    """Whether the stack was paused and not resumed: ingest may not run."""
    name = stack.physical("IngestFunction")
    return stack.functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions") == 0


def _tell(stack: Stack, state: str) -> None:
    kinds = {"schedules": SCHEDULE, "consumers of queues and streams": MAPPING, "functions": FUNCTION}
    counts = [f"{len(stack.of_type(kind))} {name}" for name, kind in kinds.items()]
    print(f"{stack.name}: {', '.join(counts)}: {state}")


def _schedules(stack: Stack, state: ScheduleStateType) -> None:
    """A sandbox has its schedules off always: its clock calls what they would."""
    if stack.settings.sandbox:
        return
    for physical in stack.of_type(SCHEDULE).values():
        # A schedule is replaced as a whole.
        schedule: Any = stack.scheduler.get_schedule(Name=physical.rpartition("/")[2])
        for name in ("Arn", "CreationDate", "LastModificationDate", "ResponseMetadata"):
            schedule.pop(name, None)
        stack.scheduler.update_schedule(**{**schedule, "State": state})


def _switch(stack: Stack, found: Iterable[Consumer], *, enabled: bool) -> list[str]:
    """Turn consumers on or off, and wait until they are; those with which it did not succeed, and why.

    One that is gone is only named.
    """
    failed = []
    asked: dict[str, str] = {}
    for one in found:
        if one.mapping is None:
            print(f"{one.name} is gone: {MAKE_AGAIN}")
            continue
        uuid = one.mapping["UUID"]
        try:
            stack.functions.update_event_source_mapping(UUID=uuid, Enabled=enabled)
            asked[uuid] = one.name
        except ClientError as error:
            failed.append(f"{one.name}: {error.response['Error']['Code']}")
    wanted = "Enabled" if enabled else "Disabled"
    return failed + [
        f"{name} is not {wanted.lower()}" for uuid, name in asked.items() if not _becomes(stack, uuid, wanted)
    ]


def _becomes(stack: Stack, uuid: str, wanted: str) -> bool:
    """Wait for a consumer's state, two minutes at most."""
    for _ in range(_LONGEST_CHANGE_SECONDS):
        # Whatever becomes of one consumer, the others and the schedules are to go on.
        with contextlib.suppress(ClientError):
            if stack.functions.get_event_source_mapping(UUID=uuid)["State"] == wanted:
                return True
        failures.sleep(1)
    return False


def _check(failed: Sequence[str]) -> None:
    """Raises OpsError where consumers were not turned on or off."""
    if failed:
        msg = f"all is done but consumers: {'; '.join(failed)}: repeat the command"
        raise OpsError(msg)
