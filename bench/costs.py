"""What calls, accounts, readers and an idle stack cost, by units that are measured now and public prices."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from typing import Any

from bench import scale
from bench.costing import UNITS, Recorded
from bench.figures import Section
from bench.scene import Scenes, template
from bench.stage import Use, measured
from bench.works import pieces
from local.emulator import Emulator


def recorded(rounds: int = 1) -> dict[str, Any]:
    """Measure everything that is priced; CPU in the best of so many rounds."""
    works: dict[str, Any] = {}
    with Emulator() as emulator:
        scenes = Scenes(emulator)
        for piece in pieces():
            uses, stored = measured(scenes, piece, rounds)
            works[piece.name] = {
                "per": piece.per,
                "stored_bytes": stored,
                "functions": {function: _recorded(function, use, piece.at_once) for function, use in uses.items()},
            }
    return {"machine": _machine(), "stack": _stack(), "works": works}


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


def measure() -> list[Section]:
    """Every table of docs/scale.md, by what is measured now."""
    return scale.sections(Recorded.of(recorded()))


def record(*, whole: bool = True) -> None:
    """Keep what is measured now, and have docs/scale.md say what it comes to. The functions log to standard output.

    Or keep what was measured, and only look at the template and the prices again.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    document = recorded(rounds=2) if whole else json.loads(UNITS.read_text(encoding="utf-8")) | {"stack": _stack()}
    UNITS.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    scale.rewrite(Recorded.load())
    print(f"{UNITS.name} and {scale.DOCUMENT.name} are up to date", file=sys.stderr)
