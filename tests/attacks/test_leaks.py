"""The plug-in that watches what tests write: it finds what must not be written, and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from local.emulator import Emulator
from tests.support import leaks

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
SIGNATURE = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="


@pytest.mark.parametrize(
    "text, what",
    [
        ("refused a.person@example.com", "e-mail"),
        ('{"message":"to +8613800000001"}', "phone"),
        ("called 13800000001 twice", "phone"),
        (json.dumps({"message": "to\n13800000001"}), "phone"),
        (f'{{"header":"Bearer {TOKEN}"}}', "token"),
        (f"claims of {TOKEN}", "token"),
        ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDuLz2AMxz7ks=", "webhook"),
        (SIGNATURE, "signature"),
        ("signed by AKIAIOSFODNN7EXAMPLE", "key of AWS"),
        ('{"access_key":"ASIAIOSFODNN7EXAMPLE"}', "key of AWS"),
        ("bills.csv?X-Amz-Expires=600&X-Amz-Signature=9f2c41", "link"),
        ("the link was ?X-Amz-Credential=a%2F20250301", "link"),
        ("no answer of https://hooks.example.com/in/4711", "address with its path"),
        (json.dumps({"message": json.dumps("https://hooks.example.com:8443?key=4711")}), "address with its path"),
        ("headers {'Idempotency-Key': 'k-1'}", "field"),
        ('{"idempotency-key":"k-1"}', "field"),
        (json.dumps({"message": json.dumps({"contact": {"locale": "en"}})}), "field"),
        (json.dumps({"exception": "ValueError: {'name': 'A Person'}"}), "field"),
    ],
)
def test_what_must_not_be_written_is_found(text: str, what: str) -> None:
    """Addresses, numbers, tokens, keys, secrets, signatures, links and fields of persons, however deep in a line."""
    found = leaks.leaks_in(f"something\n{text}\n")
    assert any(what in leak for leak in found)


@pytest.mark.parametrize(
    "text",
    [
        '{"level":"INFO","timestamp":"2026-11-22 11:59:57,004+0000","service":"tests","message_id":"m-0"}',
        '{"_aws":{"Timestamp":1795348001625,"CloudWatchMetrics":[{"Metrics":[{"Name":"Sent","Unit":"Count"}]}]}}',
        '{"exception_name":"ValueError","function_name":"Notify","location":"_log:208"}',
        "settled 13800000001000 calls at 2025-03-01T10:00:00+08:00 in 1380000000.13800000001 s",
        '{"channel":"email","errors":[{"field":"contact.email","detail":"not an e-mail address"}]}',
        "@pytest.fixture and user@host",
        '{"host":"hooks.example.com","endpoint":"https://hooks.example.com"} or https://hooks.example.com/.',
        "For more information, see https://docs.aws.amazon.com/lambda/latest/dg/runtimes.html",
        '{"parameters":"X-Amz-Signature","error":"http://127.0.0.1:4566/queue"} MAKIAVELLI',
        '{"xray_trace_id":"1-6b02ef43-a13800000001bc2f0e8d7c6b"}',
    ],
)
def test_other_lines_pass(text: str) -> None:
    """Times, ids, metrics and the names of fields are no personal data."""
    assert leaks.leaks_in(text) == []


def reported(*sections: tuple[str, str]) -> pytest.TestReport:
    """The report of a test that passed, after the plug-in has looked at it."""
    report = pytest.TestReport("t", ("t", 0, "t"), {}, "passed", None, "call", list(sections))
    looking = leaks.pytest_runtest_makereport(cast("Any", pytest.CallInfo.from_call(lambda: None, "call")))
    next(looking)
    with pytest.raises(StopIteration):
        looking.send(report)
    return report


def test_a_test_that_writes_it_fails() -> None:
    """Whatever a handler prints or logs while a test runs is looked at, and named without its value."""
    assert reported(("Captured stdout call", "fine")).passed
    for section in ("Captured stdout call", "Captured stderr call", "Captured log call"):
        report = reported((section, "sent to a.person@example.com"))
        assert report.failed
        assert "e-mail" in str(report.longrepr)
        assert "a.person" not in str(report.longrepr)


@pytest.mark.parametrize("capture", ["capsys", "capfd", "capsysbinary", "capfdbinary"])
def test_what_a_test_reads_itself_is_looked_at(request: pytest.FixtureRequest, capture: str) -> None:
    """A test that reads what was written, so that pytest does not show it, fails all the same; and only that one."""
    captured = request.getfixturevalue(capture)
    for file in (sys.stdout, sys.stderr):
        print("sent to a.person@example.com", file=file)
        captured.readouterr()
        report = reported()
        assert report.failed
        assert "a.person" not in str(report.longrepr)
    assert reported().passed


def test_a_leak_elsewhere_fails_the_test_that_is_running() -> None:
    """What was found in an event, a refusal or a function's own log lets the running test fail, and only that one."""
    leaks.look("sent to a.person@example.com", "an event")
    assert reported().failed
    assert reported().passed


class Started(Emulator):
    """An embedded cloud without a process: its functions write when it starts, and after that, when told to."""

    def write(self, line: str) -> None:
        """What a function logs."""
        with (self.home / "emulator.log").open("a") as log:
            log.write(line)

    def _launch(self) -> None:
        (self.home / "emulator.log").write_text("sent to a.person@example.com\n")

    def _await_answer(self) -> None:
        pass


@pytest.mark.parametrize("folder", [None, "kept"])
def test_the_log_of_every_embedded_cloud_is_looked_at(tmp_path: Path, folder: str | None) -> None:
    """Whoever starts a cloud: what its functions write fails the test then running, also if the log goes with it."""
    state = tmp_path / folder if folder else None
    with Started(state, Path(sys.executable)) as cloud:
        assert reported().failed
        assert reported().passed
        cloud.write("refused +8613800000001\n")
    assert reported().failed
    with Started(state, Path(sys.executable)):
        pass
    assert reported().failed
    assert reported().passed
