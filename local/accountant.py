"""The demo's chapter about an accountant: a month read, checked, exported, and one line followed to its calls."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
from openpyxl import load_workbook

from local.emulator import ROOT
from local.story import agree, heading, say, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.story import Teller

MONTH = "2025-10"
EXPORT_SECONDS = 60


def accountant(teller: Teller, account_id: str, day: str) -> None:
    """The month of an account, from the overview down to the single calls, and all places against each other."""
    heading(f"9. The accountant of {account_id} looks at October")
    _overview(teller, account_id)
    line = _explained(teller, account_id, day)
    _verified(teller, account_id, day)
    _followed(teller, account_id, line)
    _corrected(teller, account_id, line)
    _exported(teller, account_id)
    _reconciled(teller)


def _overview(teller: Teller, account_id: str) -> None:
    overview = teller.customer(account_id, "/bills/overview", month=MONTH, basis="charge")
    say(f"{overview['total']} yuan in October, {overview['cash']} of it in cash; by tag:")
    table([[one["name"] or one["tag"] or "", one["total"]] for one in overview["by_tag"]], ["tag", "yuan"])


def _explained(teller: Teller, account_id: str, day: str) -> Any:
    """One line of the first day, step by step."""
    lines = teller.customer(account_id, "/bills/details", month=MONTH, tag="enhanced_authority_wechat")["items"]
    line = next(one for one in lines if one["usage_day"] == day)
    explained = teller.customer(account_id, f"/bills/details/{line['transaction_id']}/explanation", locale="en")
    say(f"why line {line['transaction_id']} costs {line['total_cost']} yuan:")
    for step in explained["steps"]:
        say(f"- {step['text']}")
    return line


def _verified(teller: Teller, account_id: str, day: str) -> None:
    verified = teller.customer(account_id, "/bills/verification", day=day)
    archive = verified["archive"]
    say(
        f"{day} computed again from the raw usage: {'matches' if verified['matches'] else 'DIFFERS'};"
        f" {archive['counted']} calls counted, {archive['archived']} archived, {archive['missing']} missing"
    )
    agree(verified["matches"], f"the verification says {verified}")


def _followed(teller: Teller, account_id: str, line: Mapping[str, Any]) -> None:
    """The documented query of the archive gives the calls behind the line."""
    explained = teller.customer(account_id, f"/bills/details/{line['transaction_id']}/explanation")
    calls = teller.query(explained["calls_query"]["sql"], explained["calls_query"]["database"])
    say(f"its query of the archive finds {len(calls)} calls, whatever was sent twice; the first two:")
    table([[str(value) for value in call.values()][:6] for call in calls[:2]], list(calls[0])[:6])
    agree(len(calls) == line["raw_quantity"], f"{len(calls)} calls in the archive, {line['raw_quantity']} on the bill")


def _corrected(teller: Teller, account_id: str, line: Mapping[str, Any]) -> None:
    body = {"amount": "1.20", "reason": "goodwill: one call timed out", "corrects": line["transaction_id"]}
    made = teller.operator("POST", f"/v1/accounts/{account_id}/adjustments", body, f"{account_id}-goodwill")
    say(f"the operator gives 1.20 yuan back, as {made['transaction_id']}; the line itself stays as it is")


def _exported(teller: Teller, account_id: str) -> None:
    """The month as a workbook, opened with another library than the one that wrote it."""
    body = {"month": MONTH, "basis": "charge", "kind": "pack", "format": "xlsx", "locale": "en"}
    export = teller.buyer(account_id, "POST", "/bills/exports", body, f"{account_id}-october", scope="billing:read")
    deadline = time.monotonic() + EXPORT_SECONDS
    while export["status"] == "processing":
        agree(time.monotonic() < deadline, "the export takes too long")
        time.sleep(0.2)
        export = teller.customer(account_id, f"/bills/exports/{export['export_id']}")
    agree(export["status"] == "completed", f"the export is {export}")
    data = httpx.get(export["url"], trust_env=False).raise_for_status().content
    workbook = load_workbook(io.BytesIO(data), read_only=True)
    say(f"the export has {len(data)} bytes and the sheets {', '.join(workbook.sheetnames)}")
    sums = {name: _sum(workbook[name]) for name in workbook.sheetnames[1:]}
    journal = teller.customer(account_id, "/journal", from_=f"{MONTH}-01", to=f"{MONTH}-31")["items"]
    paid = -sum(Decimal(entry["amount"]) for entry in journal if entry["kind"] != "top_up")
    say(f"its sums: {', '.join(f'{name} {total}' for name, total in sums.items())}; the journal of the month: {paid}")
    agree(set(sums.values()) == {paid}, f"the workbook says {sums}, the journal {paid}")


def _sum(sheet: Any) -> Decimal:
    rows = sheet.iter_rows(values_only=True)
    column = next(rows).index("Total cost")
    return sum((Decimal(str(row[column])) for row in rows), Decimal(0))


def _reconciled(teller: Teller) -> None:
    """The operator's command over the whole ledger."""
    ledger, environment = teller.ledger()
    command = [sys.executable, "-m", "tools.reconcile", "--table", ledger]
    paths = os.pathsep.join(str(ROOT / "layers" / name) for name in ("rating", "platform"))
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        env={**os.environ, **environment, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    say("the operator compares details, precision rows, resources and journal of all accounts (make reconcile):")
    titles, *lines = done.stdout.splitlines()
    table([line.split("\t") for line in lines[:-1]], titles.split("\t"))
    say(lines[-1])
    agree(done.returncode == 0, f"the places do not agree: {done.stderr}")
