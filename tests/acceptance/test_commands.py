"""The commands of the README, as a newcomer runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from local.emulator import free_port

ROOT = Path(__file__).resolve().parents[2]


def test_demo_tells_the_story() -> None:
    """The demo ends by itself with 0, and its figures are those of the rules."""
    done = subprocess.run(
        [sys.executable, "-m", "local.demo"], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = (
        "9 free packages of 100 calls",
        "duplicate': 5677",
        "refund_window_passed",
        "balance 5000.00 - 1860.00 + 930.00 = 4070.00",
        "317000.00000000",
        "3600.00000000",
        "balance -600.00",
        "account_in_arrears",
        "月度计费精度差异",
        "balance 0.00",
        "day 1: 300 calls more, and the balance is below zero: active, balance -26.00",
        "day 2: the 24 hours are over: stopped, balance -26.00",
        "26 yuan are paid in: active, balance 0.00",
        "Balance running low: CNY 64.00",
        "7 messages by email",
        "4 messages by sms",
        "Usage of 2025-12-03: 300 calls",
        "3231.77 yuan in October, 3231.77 of it in cash",
        "Unit price x quantity: 1.20 x 1237 = 1484.40000000 yuan, exact to 8 decimals",
        "computed again from the raw usage: matches; 5778 calls counted, 5778 archived, 0 missing",
        "its query of the archive finds 2337 calls",
        "the sheets Summary, Resources, Details",
        "Details 3231.7700; the journal of the month: 3231.77",
        "7 months of charges, 0 that do not agree",
    )
    for figure in figures:
        assert figure in done.stdout, done.stdout


def test_readme_commands_against_the_local_cloud() -> None:
    """Every curl command of the README gets the answer that it is there to show."""
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "CLOCK": "2025-03-01T00:00:00+08:00"}
    commands = re.findall(r"^curl .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 3
    server = subprocess.Popen(["make", "local"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/healthz")
        answers = [run(command.replace("localhost:3000", f"127.0.0.1:{port}")) for command in commands]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)
    assert set(answers[0]) >= {"access_token"}
    assert answers[1]["openapi"] == "3.1.0"
    assert answers[2]["now"] == "2025-03-02T08:00:00+08:00"
    assert answers[2]["ran"]


def wait_until_ready(url: str) -> None:
    """Ask until the answer is 200."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    message = f"{url} did not answer"
    raise AssertionError(message)


def run(command: str) -> dict[str, object]:
    """Run a command of the README in a shell, as a reader would."""
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=120, check=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer
