"""Stopping everything that writes, and starting it again with new processes.

Paused, a stack loses nothing for a day: queues keep messages, streams their records, schedules are made up for by the
next run. Producers hear 503 and send again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aws_platform import failures
from tools.ops.stack import FUNCTION, MAPPING, SCHEDULE, OpsError, Stack

if TYPE_CHECKING:
    from mypy_boto3_scheduler.literals import ScheduleStateType

REFRESHED = "REFRESHED"
"""How often that was asked for: the variable whose change makes Lambda start new processes."""
_LONGEST_CHANGE_SECONDS = 120


def pause(stack: Stack, *, dry: bool) -> int:
    """Stop schedules, then consumers of queues and streams, then every function."""
    _tell(stack, "off")
    if not dry:
        _schedules(stack, "DISABLED")
        _mappings(stack, enabled=False)
        for name in stack.of_type(FUNCTION).values():
            stack.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        print("paused: nothing reads or writes any more but these commands; streams remember a day")
    return 0


def resume(stack: Stack, *, hold: str, dry: bool) -> int:
    """Start all of it again, in new processes: what an old one remembers of the tables may no longer be so.

    The consumer to `hold`, a mapping's logical id, stays off. Raises OpsError where there is none of this name.
    """
    if hold and hold not in stack.of_type(MAPPING):
        msg = f"HOLD is one of {', '.join(stack.of_type(MAPPING))}"
        raise OpsError(msg)
    _tell(stack, f"on, in new processes{f'; {hold} stays off' if hold else ''}")
    if not dry:
        functions = list(stack.of_type(FUNCTION).values())
        refresh(stack, functions)
        for name in functions:
            stack.functions.delete_function_concurrency(FunctionName=name)
        _mappings(stack, enabled=True, hold=hold)
        _schedules(stack, "ENABLED")
        print("resumed: make ops-status tells whether everything comes along")
    return 0


def refresh(stack: Stack, functions: Sequence[str]) -> None:
    """Have functions run in new processes, those that aliases lead to as well."""
    for name in functions:
        configured = stack.functions.get_function_configuration(FunctionName=name)
        variables = configured.get("Environment", {}).get("Variables", {})
        variables = {**variables, REFRESHED: str(int(variables.get(REFRESHED, "0")) + 1)}
        stack.functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    for name in functions:
        stack.functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        aliases = stack.functions.list_aliases(FunctionName=name)["Aliases"]
        version = stack.functions.publish_version(FunctionName=name)["Version"] if aliases else ""
        for alias in aliases:
            stack.functions.update_alias(
                FunctionName=name,
                Name=alias["Name"],
                FunctionVersion=version,
                RoutingConfig={"AdditionalVersionWeights": {}},
            )


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


def _mappings(stack: Stack, *, enabled: bool, hold: str = "") -> None:
    uuids = [uuid for name, uuid in stack.of_type(MAPPING).items() if name != hold]
    for uuid in uuids:
        stack.functions.update_event_source_mapping(UUID=uuid, Enabled=enabled)
    wanted = "Enabled" if enabled else "Disabled"
    for uuid in uuids:
        for _ in range(_LONGEST_CHANGE_SECONDS):
            if stack.functions.get_event_source_mapping(UUID=uuid)["State"] == wanted:
                break
            failures.sleep(1)
        else:
            msg = f"event source mapping {uuid} is not {wanted.lower()} after two minutes: repeat the command"
            raise OpsError(msg)
