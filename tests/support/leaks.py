"""A plug-in of pytest: no test may let a secret or personal data get into logs, events or refusals.

It looks at what every test writes to stdout, stderr and the log (a function in the cloud would write it to its log),
whether the test reads it itself or not, at the logs of functions that run in processes of their own, at what functions
log in the fault tests, where nothing is written, at what the bus is given, and at every problem document.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger

# Cheap marks first: a text without any of them needs no closer look.
_MARK = re.compile(
    r"@|\+\d|1[3-9]\d{9}|eyJ|earer |whsec_|v1,|A[KS]IA|X-Amz-|https:"
    r"|(?i:idempotency-key|contact|email|phone|secret|\bname\b)"
)
_FIELD = r"(?:name|contact|e-?mails?|phones?|secret|purpose|license_reference|[Ii]dempotency-[Kk]ey|[Aa]uthorization)"
_LEAKS = {
    "an e-mail address": re.compile(r"(?<![\w.+-])[\w.+-]++@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"),
    "a phone number": re.compile(r"\+\d{8,15}(?![\w/+=])|(?<![\da-fA-F.])1[3-9]\d{9}(?![\w.])"),
    "a token": re.compile(r"\beyJ[\w-]{5,}\.[\w-]+|[Bb]earer [\w.~+/-]{12,}"),
    "the secret of a webhook": re.compile(r"whsec_[A-Za-z0-9+/]{8}"),
    "a signature": re.compile(r"\bv1,[A-Za-z0-9+/]{40}"),
    "a key of AWS": re.compile(r"\bA[KS]IA[A-Z0-9]{16}\b"),
    "a link that opens what it leads to": re.compile(r"X-Amz-(?:Signature|Credential|Security-Token)=(?=[^\s&])"),
    # AWS's own errors lead to its documents.
    "an address with its path": re.compile(
        r"https:(?:\\?/){2}(?!docs\.aws\.amazon\.com\\?/)[A-Za-z0-9.-]+(?::\d+)?\\?(?:/[\w~%-]|/?\?)"
    ),
    "a field with personal data": re.compile(rf"(?<![\w-])\\*[\"']{_FIELD}\\*[\"']\s*:"),
}
# The stand-ins of the providers tell what they were given, which is what they are for.
_PROVIDERS = re.compile(r"^\S+ \S+ [A-Z]+ \[(?:sns|ses|ses-v2)\] .*$", re.MULTILINE)
_found: list[str] = []
_clouds: dict[Path, int] = {}
"""Logs of embedded clouds, and how far they were read."""


def leaks_in(text: str) -> list[str]:
    """What must not be in a log, an event or a refusal; says what it is and where about, not the value."""
    if _MARK.search(text) is None:
        return []
    hits = ((what, pattern.search(text)) for what, pattern in _LEAKS.items())
    return [f"{what} after {text[max(0, hit.start() - 80) : hit.start()]!r}" for what, hit in hits if hit is not None]


def look(text: str, where: str) -> bool:
    """Whether there is no leak in this text; if there is, the test that is running fails."""
    found = leaks_in(text)
    _found.extend(f"{where}: {leak}" for leak in found)
    return not found


def pytest_configure() -> None:
    """Look at every problem document, at what the bus is given and at what a test reads of its own output."""
    problems: Any = importlib.import_module("aws_platform.problems")
    providers: Any = importlib.import_module("tests.support.providers")
    body, given, read = problems.Problem.body, providers.Providers._given, pytest.CaptureFixture.readouterr
    # Loggers write where the first one of their service was made. Made here, that is nothing which a test closes.
    Logger(service="tests")

    def looked_body(self: Any) -> str:
        text: str = body(self)
        look(text, "a refusal")
        return text

    def looked_given(self: Any, params: Any, context: Any, **more: Any) -> None:
        given(self, params, context, **more)
        for entry in params.get("Entries", ()):
            look(json.dumps(entry, default=str, ensure_ascii=False), "an event")

    def looked_read(self: pytest.CaptureFixture[Any]) -> Any:
        output = read(self)
        for text in output:
            look(text if isinstance(text, str) else text.decode(errors="replace"), "what the test has read")
        return output

    problems.Problem.body = looked_body
    providers.Providers._given = looked_given
    pytest.CaptureFixture.readouterr = looked_read  # type: ignore[method-assign]
    _follow(importlib.import_module("local.emulator").Emulator)


def _follow(emulators: Any) -> None:
    """Read the log of every embedded cloud, whoever starts it: its functions write there."""
    start, stop = emulators.start, emulators.stop

    def followed_start(self: Any) -> None:
        start(self)
        _clouds[self.home / "emulator.log"] = 0

    def followed_stop(self: Any) -> None:
        # Once it has stopped, there is no log, unless its state is kept.
        _look_at_clouds()
        stop(self)
        _look_at_clouds()

    emulators.start, emulators.stop = followed_start, followed_stop


def _look_at_clouds() -> None:
    for text in _written():
        look(text, "the log of a function")


def _written() -> Iterator[str]:
    """What the functions in embedded clouds have written since the last time."""
    for path, seen in list(_clouds.items()):
        if not path.exists():
            del _clouds[path]
        elif path.stat().st_size > seen:
            with path.open("rb") as file:
                file.seek(seen)
                new = file.read()
            _clouds[path] = seen + len(new)
            yield _PROVIDERS.sub("", new.decode(errors="replace"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail that wrote what must not be written."""
    report = yield
    _look_at_clouds()
    for title, text in report.sections:
        if title.endswith(call.when):
            look(text, title)
    found, _found[:] = list(dict.fromkeys(_found)), []
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = "written, but secret or personal:\n" + "\n".join(found)
    return report
