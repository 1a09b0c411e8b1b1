"""Reports of usage: what is stored, and what the report must say (D1, D4, D6, D7; contract, Metering)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.model.catalog import Meaning, meaning
from tests.simulation.model.state import Account, Usage
from tests.simulation.model.times import day_of, next_run, run_of, whole
from tests.simulation.steps import Call, Report
from tests.simulation.view import Answer

OLDEST = timedelta(days=35)
AHEAD = timedelta(minutes=5)
REJECTIONS = "rejected"


def _time_codes(account: Account, call: Call, now: datetime) -> set[str]:
    """What is wrong with the time of a call."""
    wrong = {
        "before_opening": call.time < account.opened,
        "time_too_old": call.time < now - OLDEST,
        "time_in_future": whole(call.time) > now + AHEAD,
    }
    return {code for code, holds in wrong.items() if holds}


def _take(accounts: Mapping[str, Account], call: Call, now: datetime) -> set[str]:
    """Store a call; the outcomes that are right: one, or several where the texts do not say which comes first."""
    account = accounts.get(call.account)
    meant = meaning(call)
    codes = {meant} if isinstance(meant, str) else set[str]()
    codes |= {"unknown_account"} if account is None else _time_codes(account, call, now)
    if account is None or isinstance(meant, str):
        return codes
    identity = (call.source, call.event_id, call.time)
    known = account.identities.get(identity)
    if known is not None:
        # Sent again when it is too old by now: the same event is a duplicate however it arrives, and too old as well.
        return codes | ({"duplicate"} if known == meant.data else {"conflict"})
    if codes:
        return codes
    account.identities[identity] = meant.data
    account.usage.append(_usage(account, call, meant, now))
    account.tags.add(meant.tag)
    return {"accepted" if meant.charged else "not_chargeable"}


def _usage(account: Account, call: Call, meant: Meaning, now: datetime) -> Usage:
    """The event as it is kept, with the run that is to charge it (D3, D4)."""
    due = run_of(day_of(call.time), monthly=account.monthly)
    if now >= due:
        due = next_run(now, monthly=account.monthly)
    return Usage(call.time, meant.tag, meant.charged, meant.data[-1], due)


def report(accounts: Mapping[str, Account], step: Report, answer: Answer | None) -> list[str]:
    """Take a batch in its order; says where the report differs."""
    outcomes = [_take(accounts, call, step.at) for call in step.calls]
    if answer is None:
        return []
    if answer.status != 200:
        return [f"report: status {answer.status}"]
    return _compare(outcomes, answer, step)


def _compare(outcomes: list[set[str]], answer: Answer, step: Report) -> list[str]:
    body: Mapping[str, Any] = answer.body
    told = {error["index"]: error["code"] for error in body["errors"]}
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for index, outcome in enumerate(outcomes):
        quiet = outcome & {"accepted", "not_chargeable", "duplicate"}
        said = told.get(index)
        if (said is None and not quiet) or (said is not None and said not in outcome):
            wrong.append(f"report: event {index} ({step.calls[index].event_id}): {said}, must be {sorted(outcome)}")
        if said is None:
            counts[min(quiet, default="accepted")] += 1
        else:
            counts["conflict" if said == "conflict" else REJECTIONS] += 1
    names = ("accepted", "not_chargeable", "duplicate", "conflict", REJECTIONS)
    shown = {name: body[name] for name in names}
    expected = {name: counts[name] for name in names}
    if answer.again:
        # Stored by the first try, it is a duplicate to the second; and what was stored long before may be taken for its
        # own by a try that did not hear the answer to its write.
        for counted in (shown, expected):
            counted["stored"] = sum(counted.pop(name) for name in ("accepted", "not_chargeable", "duplicate"))
    if shown != expected:
        wrong.append(f"report: {shown}, must be {expected}")
    ids = {index: step.calls[index].event_id for index in told}
    if any(error["id"] != ids[error["index"]] for error in body["errors"]):
        wrong.append(f"report: ids of errors {body['errors']}")
    return wrong
