"""A month's end in the local cloud: exports through HTTP and S3, the verification's own run, and `make reconcile`."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import time
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.cloud import LocalCloud
from local.story import Teller, one_instant, open_account

ROOT = Path(__file__).resolve().parents[2]
DAILY, MONTHLY = "shop-1", "bank-1"
MONTH = "2025-03"
USED = "2025-03-01T08:29:00+08:00"


@pytest.fixture(scope="module")
def ended(teller: Teller) -> Teller:
    """April has begun; a daily and a monthly account have used something in March, the daily one late as well."""
    open_account(teller, DAILY, "=Shop & Sons", "100.00", "2025-01-01T00:00:00+08:00")
    open_account(teller, MONTHLY, "Bank", "100.00", "2022-01-01T00:00:00+08:00")
    for account in (DAILY, MONTHLY):
        teller.report(one_instant(account, USED, "face_risk", "a", 33))
    teller.move_to("2025-03-20T09:00:00+08:00")
    teller.report(one_instant(DAILY, USED, "face_risk", "late", 7))
    body = {"amount": "-0.05", "reason": "=HYPERLINK(evil)"}
    teller.operator("POST", f"/v1/accounts/{DAILY}/adjustments", body, "fee")
    teller.move_to("2025-04-01T12:30:00+08:00")
    return teller


def exported(teller: Teller, account_id: str, key: str, **wanted: Any) -> bytes:
    """Ask for an export, wait for it, and fetch it as a browser would."""
    body = {"month": MONTH, "format": "csv", "locale": "en", "basis": "charge", **wanted}
    export = teller.buyer(account_id, "POST", "/bills/exports", body, key, scope="billing:read")
    deadline = time.monotonic() + 60
    while export["status"] == "processing" and time.monotonic() < deadline:
        time.sleep(0.1)
        export = teller.customer(account_id, f"/bills/exports/{export['export_id']}")
    assert export["status"] == "completed"
    answer = httpx.get(export["url"], trust_env=False)
    assert answer.status_code == 200
    assert "X-Amz-Expires=900" in export["url"]
    return answer.content


def rows(content: bytes) -> list[dict[str, str]]:
    """What a reader of CSV makes of a file."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_a_pack_adds_up_to_the_journal(ended: Teller) -> None:
    """Resources and details of the month, precision row included, are what the journal says; no reason is a formula."""
    with zipfile.ZipFile(io.BytesIO(exported(ended, DAILY, "pack", kind="pack"))) as pack:
        resources, details = rows(pack.read("resources.csv")), rows(pack.read("details.csv"))
        summary = rows(pack.read("summary.csv"))
    entries = ended.customer(DAILY, "/journal", from_="2025-03-01", to="2025-03-31")["items"]
    journal = -sum(Decimal(one["amount"]) for one in entries if one["kind"] != "top_up")
    assert journal == Decimal("0.12") + Decimal("0.02") + Decimal("0.05")
    for table in (resources, details):
        assert sum(Decimal(row["Total cost"]) for row in table) == journal
    assert [row["Value"] for row in summary if row["Item"] == "Agree"] == ["yes"]
    cells = [cell for row in resources for cell in row.values()]
    assert "'=HYPERLINK(evil)" in cells
    assert not [cell for cell in cells if cell.startswith("=")]


def test_focus_says_the_same(ended: Teller) -> None:
    """The billed cost of the FinOps file is what was deducted."""
    found = rows(exported(ended, DAILY, "focus", kind="focus", basis="charge"))
    assert sum(Decimal(row["BilledCost"]) for row in found) == Decimal("0.19")
    assert {row["BillingCurrency"] for row in found} == {"CNY"}


def test_the_job_has_verified_every_settled_day(ended: Teller, cloud: LocalCloud) -> None:
    """After 12:30 no settled day waits to be verified, and the days match as they stand."""
    index = {"TableName": cloud.resources["UsageTable"], "IndexName": "DueIndex"}
    items = cloud.client("dynamodb").scan(**index)["Items"]
    assert not [item for item in items if item["due_pk"]["S"].startswith("verify#")]
    for account in (DAILY, MONTHLY):
        verified = ended.customer(account, "/bills/verification", day="2025-03-01")
        assert (verified["matches"], verified["differences"], verified["settled"]) == (True, [], True)
        assert verified["archive"]["missing"] == 0
    log = cloud.emulator.log_tail(5000)
    assert "verification difference" not in log


def test_the_operators_command_agrees(ended: Teller, cloud: LocalCloud) -> None:
    """`make reconcile` prints both accounts and ends with 0; where a fen is missing it ends with another code."""
    _, environment = ended.ledger()
    stack = cloud.client("cloudformation").describe_stacks()["Stacks"][0]["StackName"]
    command = ["make", "reconcile", f"STACK={stack}", f"ENDPOINT={cloud.emulator.url}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=120, check=False
        )

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    agreed = [line for line in done.stdout.splitlines() if line.endswith("agrees")]
    assert {line.split("\t")[0] for line in agreed} == {DAILY, MONTHLY}
    table, key = cloud.resources["LedgerTable"], "J#2025-03-02"
    page = cloud.client("dynamodb").query(
        TableName=table,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues={":pk": {"S": f"A#{DAILY}"}, ":sk": {"S": key}},
    )["Items"][0]
    wrong = json.loads(page["page"]["S"])
    wrong["entries"][0][1] = "-0.11"
    cloud.client("dynamodb").put_item(TableName=table, Item={**page, "page": {"S": json.dumps(wrong)}})
    done = run()
    cloud.client("dynamodb").put_item(TableName=table, Item=page)
    assert done.returncode != 0
    assert [line.split("\t")[:2] for line in done.stdout.splitlines() if "DIFFERS" in line] == [[DAILY, MONTH]]
