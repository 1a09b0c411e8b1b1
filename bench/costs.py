"""What calls, accounts, readers and an idle stack cost, by units that are measured now and public prices."""

from __future__ import annotations

import json
import os
import platform
import sys
import tomllib
from collections.abc import Container
from dataclasses import asdict
from typing import Any

from bench import ROOT, planning, scale
from bench.costing import UNITS, Recorded
from bench.figures import Section
from bench.scene import Scenes, template
from bench.stage import Use, measured
from bench.works import pieces
from local.emulator import Emulator


def recorded(rounds: int = 1, counted_only: Container[str] = ()) -> dict[str, Any]:
    """Measure everything that is priced; CPU in the best of so many rounds, and not of what is to be counted only."""
    works: dict[str, Any] = {}
    with Emulator() as emulator:
        scenes = Scenes(emulator)
        for piece in pieces():
            uses, stored = measured(scenes, piece, 0 if piece.name in counted_only else rounds)
            works[piece.name] = {
                "per": piece.per,
                "stored_bytes": stored,
                "functions": {function: _recorded(function, use, piece.at_once) for function, use in uses.items()},
            }
    return {"machine": _machine(), **looked_up(), "sending_ms": round(planning.sending(), 1), "works": works}


def looked_up() -> dict[str, Any]:
    """What the template says."""
    return {"stack": _stack(), "limits": _limits()}


def counted() -> dict[str, Any]:
    """Count units again, and leave CPU as it was recorded: counts are the same on every machine."""
    before = json.loads(UNITS.read_text(encoding="utf-8"))
    document = recorded(rounds=2, counted_only=before["works"]) | {"sending_ms": before["sending_ms"]}
    for name in before["works"].keys() & document["works"].keys():
        for function, use in document["works"][name]["functions"].items():
            use["cpu_ms"] = before["works"][name]["functions"][function]["cpu_ms"]
    return document


def _recorded(function: str, use: Use, at_once: int) -> dict[str, Any]:
    found = asdict(use)
    return {
        "memory": template().resources[function]["Properties"]["MemorySize"],
        "at_once": at_once,
        **found,
        "cpu_ms": round(use.cpu_ms, 2),
        "calls": dict(sorted(use.calls.items())),
    }


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} CPUs, CPython {platform.python_version()}"


def _stack() -> dict[str, int]:
    """What the template has that costs something without any usage."""
    resources = template().resources.values()
    functions = [one["Properties"] for one in resources if one["Type"] == "AWS::Serverless::Function"]
    events = [event for one in functions for event in one.get("Events", {}).values()]
    alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    own = {alarm["MetricName"] for alarm in alarms if "Zhangben" in str(alarm.get("Namespace"))}
    return {
        "alarms": sum(len(alarm.get("Metrics", [])) - 1 if "Metrics" in alarm else 1 for alarm in alarms),
        "dashboards": sum(one["Type"] == "AWS::CloudWatch::Dashboard" for one in resources),
        "metrics": len(own),
        "plans_a_day": sum("cron" in str(event["Properties"].get("ScheduleExpression")) for event in events),
        "queues_polled": sum(event["Type"] == "SQS" for event in events),
        "tables": sum(one["Type"] == "AWS::DynamoDB::Table" for one in resources),
    }


def _limits() -> dict[str, Any]:
    """What the template lets run at once, by function, and where and on what samconfig.toml has stages run."""
    triggers = [
        (function, event)
        for function, properties in template().of_type("AWS::Serverless::Function")
        for event in properties.get("Events", {}).values()
    ]
    streams = {function: event["Properties"] for function, event in triggers if event["Type"] == "DynamoDB"}
    variables = template().document["Globals"]["Function"]["Environment"]["Variables"]
    return {
        "due_shards": int(template().value(variables["DUE_SHARDS"])),
        "stages": _stages(),
        "stream_at_once": {name: stream.get("ParallelizationFactor", 1) for name, stream in streams.items()},
        "workers": {
            function: event["Properties"].get("ScalingConfig", {}).get("MaximumConcurrency")
            for function, event in triggers
            if event["Type"] == "SQS"
        },
    }


def _stages() -> dict[str, str]:
    """The region and the architecture of production."""
    production = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))["production"]["deploy"][
        "parameters"
    ]
    overridden = dict(one.split("=", 1) for one in production["parameter_overrides"])
    return {"architecture": overridden["Architecture"], "region": production["region"]}


def measure() -> list[Section]:
    """Every table of docs/scale.md, by what is measured now."""
    return scale.sections(Recorded.of(recorded()))


def record(what: str = "all") -> None:
    """Keep what is measured now, and have docs/scale.md say what it comes to. The functions log to standard output.

    Or count only the `units` again, or keep what was measured, and only look at the template and the `prices` again.
    """
    if what not in ("all", "units", "prices"):
        sys.exit(f"nothing is recorded of {what}: all, units or prices")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    match what:
        case "units":
            document = counted()
        case "prices":
            document = json.loads(UNITS.read_text(encoding="utf-8")) | looked_up()
        case _:
            document = recorded(rounds=2)
    UNITS.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    scale.rewrite(Recorded.load())
    print(f"{UNITS.name} and {scale.DOCUMENT.name} are up to date", file=sys.stderr)
