"""Exports of a month's bills: asked for, made in the background, fetched by a link (contract, Bills)."""

from __future__ import annotations

import csv
import io
import json
import os
import uuid
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import openpyxl
import pytest
import requests

from aws_platform import clients
from exports import making, worker
from exports.columns import DETAIL_COLUMNS, RESOURCE_COLUMNS
from exports.tables import Column, Kind
from tests.adapters.prepaid import buy, give_back
from tests.adapters.steps import A, at, lose_answer, prepared, rows, tables
from tests.support.product import CUSTOMER, EXPORTS, Product, Reply, events, queue_records

URL = f"{A}/bills/exports"
MONTH = "2025-03"
CLOSED = "2025-04-01T09:00:00+08:00"
EVIL = "=HYPERLINK(1)"
API = {"resources": RESOURCE_COLUMNS, "details": DETAIL_COLUMNS}


@pytest.fixture(autouse=True)
def _own_queue(product: Product) -> None:
    """Nothing of other tests waits to be made."""
    os.environ["EXPORT_QUEUE_URL"] = product.sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]


@pytest.fixture
def closed(metered: Product, opened: dict[str, list[Any]]) -> Product:
    """A month with usage, late usage, a package and its refund, a voucher, an adjustment, and a difference of fen."""

    def live() -> None:
        terms = {"unit_price": "0.1235", "from": "2025-03-01"}
        assert metered.request("PUT", f"{A}/contract-prices/face_risk", terms).status == 200
        body: dict[str, Any] = {"amount": "5.00", "scene": "postpaid"}
        assert metered.request("POST", f"{A}/vouchers", body, headers={"Idempotency-Key": "v"}).status == 201
        _, returned = buy(metered, quantity=2)
        assert give_back(metered, returned).status == 202
        body = {"amount": "1.50", "reason": EVIL}
        assert metered.request("POST", f"{A}/adjustments", body, headers={"Idempotency-Key": "a"}).status == 201
        for number in range(3):
            metered.report(events("acct-1", 7, metered.now.isoformat(), f"a-{number}", interface="face_risk"))
            metered.report(events("acct-1", 600, metered.now.isoformat(), f"b-{number}"))
            metered.move(f"2025-03-0{number + 2}T10:00:00+08:00")
        metered.report(events("acct-1", 3, "2025-03-01T10:00:00+08:00", "late", interface="face_risk"))
        metered.move("2025-03-31T10:00:00+08:00")
        metered.report(events("acct-1", 5, metered.now.isoformat(), "last", interface="face_risk"))
        metered.move(CLOSED)

    prepared(metered, opened, "exports_closed", live)
    metered.now = at(CLOSED)
    return metered


def ask(product: Product, key: str = "k", month: str = MONTH, **body: Any) -> Reply:
    """POST A/bills/exports as the customer."""
    given = {"month": month, "kind": "details", "format": "csv", **body}
    return product.request("POST", URL, given, CUSTOMER, "acct-1", {"Idempotency-Key": key})


def look(product: Product, export_id: str) -> dict[str, Any]:
    """GET A/bills/exports/{id} as the customer."""
    reply = product.request("GET", f"{URL}/{export_id}", scopes=CUSTOMER, account_id="acct-1")
    assert reply.status == 200, reply.text
    found: dict[str, Any] = reply.body
    return found


def made(product: Product, **body: Any) -> bytes:
    """The file of an export, fetched by its link."""
    reply = ask(product, **body)
    assert reply.status == 202, reply.text
    product.make_exports()
    shown = look(product, reply.body["export_id"])
    assert shown["status"] == "completed"
    fetched = requests.get(shown["url"], timeout=5)
    assert fetched.status_code == 200
    assert len(fetched.content) == shown["bytes"]
    return fetched.content


def table(content: bytes) -> list[list[str]]:
    """A CSV file's rows."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def cell(value: object, column: Column) -> str:
    """A value of the API in CSV: what could be a formula, and is no number, begins with an apostrophe."""
    text = "" if value is None else str(value)
    return f"'{text}" if column.kind is Kind.TEXT and len(text) > 1 and text[0] in "=+-@" else text


def due(product: Product, export_id: str) -> str | None:
    """When the export's timer is due."""
    item = stored(product, export_id)
    return item["due_sk"]["S"].partition("#")[0] if "due_sk" in item else None


def stored(product: Product, export_id: str) -> Any:
    """The export's item."""
    key = {"pk": {"S": "A#acct-1"}, "sk": {"S": f"X#{export_id}"}}
    return product.dynamodb.get_item(TableName="ledger", Key=key)["Item"]


# What is in the files


@pytest.mark.parametrize("basis", ["usage", "charge"])
@pytest.mark.parametrize("kind", ["resources", "details"])
def test_csv_has_what_the_api_answers(closed: Product, kind: str, basis: str) -> None:
    """A CSV file has every row of the month, each cell as the API answers it, under the headers of the language."""
    content = made(closed, kind=kind, basis=basis, locale="en")
    assert content.startswith(b"\xef\xbb\xbf")
    header, *found = table(content)
    assert header == [column.en for column in API[kind]]
    shown = rows(closed, f"{A}/bills/{kind}", month=MONTH, basis=basis)
    assert len(shown) > 6
    assert sorted(found) == sorted([cell(row[column.name], column) for column in API[kind]] for row in shown)
    assert any(f"'{EVIL}" in row for row in found)


@pytest.mark.parametrize("basis", ["usage", "charge"])
def test_a_pack_as_workbook_adds_up(closed: Product, basis: str) -> None:
    """A real reader opens the workbook, finds no formula, and its columns add up to the totals of the API."""
    book = openpyxl.load_workbook(io.BytesIO(made(closed, kind="pack", format="xlsx", basis=basis)))
    assert book.sheetnames == ["汇总", "资源账单", "明细账单"]
    assert not [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    for kind, name in (("resources", "资源账单"), ("details", "明细账单")):
        totals = closed.get(f"{A}/bills/{kind}", month=MONTH, basis=basis, limit="1").body["totals"]
        header, *found = book[name].iter_rows(values_only=True)
        assert list(header) == [column.zh for column in API[kind]]
        for field in ("original_cost", "total_cost", "cash", "income_transfer", "gift", "voucher"):
            place = [column.name for column in API[kind]].index(field)
            cells = [row[place] for row in found if row[place] is not None]
            assert all(isinstance(cell, int | float) for cell in cells)
            assert sum((Decimal(str(cell)) for cell in cells), Decimal(0)) == Decimal(totals[field]), field
        assert any(EVIL in row for row in found)


def test_the_summary_says_that_all_agree(closed: Product) -> None:
    """The summary has the sums of both tables, by tag and by mode, and details + precision = resources = journal."""
    with zipfile.ZipFile(io.BytesIO(made(closed, kind="pack", locale="en", basis="charge"))) as pack:
        assert sorted(pack.namelist()) == ["details.csv", "resources.csv", "summary.csv"]
        files = {name: table(pack.read(name)) for name in pack.namelist()}
    summary = {(row[0], row[1]): row for row in files["summary.csv"]}
    told = {item: summary["Export", item][2] for item in ("Account", "Month", "Basis", "As of")}
    assert told == {"Account": "acct-1", "Month": MONTH, "Basis": "by date of the charge", "As of": CLOSED}
    totals = closed.get(f"{A}/bills/resources", month=MONTH, basis="charge").body["totals"]
    assert summary["Tables", "Resources"][3] == str(len(files["resources.csv"]) - 1)
    assert summary["Tables", "Details"][3] == str(len(files["details.csv"]) - 1)
    assert summary["Tables", "Resources"][4:] == [
        totals[name] for name in ("original_cost", "total_cost", "voucher", "gift", "income_transfer", "cash")
    ]
    check = {item: row[5] for (section, item), row in summary.items() if section.startswith("Check")}
    details, precision = Decimal(check["Sum of details"]), Decimal(check["Monthly precision difference"])
    assert precision != 0
    assert details + precision == Decimal(check["Details + precision difference"])
    assert check["Details + precision difference"] == check["Sum of resources"] == totals["total_cost"]
    entries = rows(closed, f"{A}/journal", **{"from": "2025-03-01", "to": "2025-03-31"})
    taken = sum((Decimal(entry["amount"]) for entry in entries if entry["kind"] != "top_up"), Decimal(0))
    assert Decimal(check["Journal"]) == -taken == Decimal(totals["total_cost"])
    assert summary["Check (by date of the charge)", "Agree"][2] == "yes"
    for section in ("By billing tag (resources)", "By billing mode (resources)"):
        parts = [Decimal(row[5]) for (name, _), row in summary.items() if name == section]
        assert len(parts) > 1
        assert sum(parts, Decimal(0)) == Decimal(totals["total_cost"])


def test_a_summary_that_does_not_agree_says_so(closed: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the journal took something else than the bills say, the summary does not hide it."""
    item = next(one for one in closed.dynamodb.scan(TableName="ledger")["Items"] if one["sk"]["S"].startswith("J#2025"))
    page = json.loads(item["page"]["S"])
    page.update(kind="settlement", occurred_at="2025-03-05T08:00:00+08:00", entries=[["cash", "-0.01", "0.00"]])
    item["sk"]["S"], item["page"]["S"] = "J#2025-03-05T08:00:00+08:00#0000009999", json.dumps(page)
    closed.dynamodb.put_item(TableName="ledger", Item=item)
    with zipfile.ZipFile(io.BytesIO(made(closed, kind="pack", locale="en"))) as pack:
        assert table(pack.read("summary.csv"))[-1][1:3] == ["Agree", "no"]


def test_focus_is_one_more_kind(closed: Product) -> None:
    """The FinOps columns come under their own names in any language, and bill what the account was charged."""
    found = [table(made(closed, key=locale, kind="focus", basis="charge", locale=locale)) for locale in ("zh-CN", "en")]
    assert found[0] == found[1]
    header, *lines = found[0]
    cost = sum((Decimal(line[header.index("BilledCost")]) for line in lines), Decimal(0))
    totals = closed.get(f"{A}/bills/resources", month=MONTH, basis="charge").body["totals"]
    assert cost == Decimal(totals["total_cost"])
    assert {line[header.index("x_Reason")] for line in lines} >= {f"'{EVIL}"}
    chosen = table(made(closed, key="some", kind="focus", basis="charge", columns=["BilledCost", "BillingCurrency"]))
    assert chosen[0] == ["BilledCost", "BillingCurrency"]
    assert sorted(row[0] for row in chosen[1:]) == sorted(line[header.index("BilledCost")] for line in lines)


def test_columns_are_those_that_are_asked_for(closed: Product) -> None:
    """The file has the columns in the order asked for; each table of a pack has those that it knows."""
    assert table(made(closed, columns=["total_cost", "tag"]))[0] == ["优惠后总价", "计费标签"]
    names = ["usage_day", "tag", "transaction_id"]
    with zipfile.ZipFile(io.BytesIO(made(closed, key="pack", kind="pack", columns=names))) as pack:
        assert table(pack.read("resources.csv"))[0] == ["计费标签"]
        assert table(pack.read("details.csv"))[0] == ["账单归属日", "计费标签", "交易 ID"]
    whole = ask(closed, key="one", kind="pack", columns=["usage_day"]).body["export_id"]
    closed.make_exports()
    place = {"Bucket": EXPORTS, "Key": f"exports/acct-1/{whole}.zip"}
    with zipfile.ZipFile(io.BytesIO(closed.s3.get_object(**place)["Body"].read())) as pack:
        # A table of which nothing is wanted is not in the pack, and in its summary all the same.
        assert sorted(pack.namelist()) == ["details.csv", "summary.csv"]
        assert table(pack.read("summary.csv"))[5][3] != "0"


@pytest.mark.parametrize(
    "body",
    [
        {"columns": ["no_such"]},
        {"columns": []},
        {"columns": ["tag", "tag"]},
        {"kind": "resources", "columns": ["transaction_id"]},
        {"kind": "focus", "columns": ["tag"]},
        {"kind": "pack", "columns": ["tag", "BilledCost"]},
        {"kind": "x"},
        {"format": "pdf"},
        {"month": "2025-3"},
        {"month": "2025-13"},
        {"locale": "fr"},
        {"basis": "day"},
        {"unknown": 1},
    ],
)
def test_what_is_no_export_is_refused(closed: Product, body: dict[str, Any]) -> None:
    """A column that the kind does not have, one twice, and whatever else is not offered changes nothing."""
    before = tables(closed)
    reply = closed.request(
        "POST",
        URL,
        {"month": MONTH, "kind": "details", "format": "csv", **body},
        headers={"Idempotency-Key": "k"},
    )
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert reply.body["errors"][0]["field"].split(".")[0] == next(iter(reversed(body)))
    assert tables(closed) == before


def test_the_language_is_the_accounts_own(closed: Product) -> None:
    """Headers are in the language of the account's contact where the request names none."""
    assert ask(closed, key="zh").body["locale"] == "zh-CN"
    assert closed.request("PATCH", A, {"contact": {"locale": "en"}}).status == 200
    assert table(made(closed))[0][0] == "Transaction ID"


# Which months


@pytest.mark.parametrize("opened_at", ["2025-01-01T00:00:00+08:00", "2022-06-01T00:00:00+08:00"])
def test_a_month_is_open_until_it_is_settled(product: Product, opened_at: str) -> None:
    """409 `month_open` until the run of the next 1st has settled the month; usage that comes later opens nothing."""
    product.open_account("acct-1", cash="100", opened_at=opened_at)
    product.report(events("acct-1", 3, "2025-03-01T10:00:00+08:00"))
    product.now = at("2025-03-31T09:00:00+08:00")
    product.run()
    product.report(events("acct-1", 3, "2025-03-31T09:00:00+08:00", "last"))

    def refused(now: str, month: str = MONTH) -> bool:
        product.now = at(now)
        reply = ask(product, key=f"{now}{month}", month=month)
        assert reply.status == 202 or reply.code == "month_open", reply.text
        return reply.status == 409

    assert refused("2025-04-01T07:59:59+08:00")
    assert refused("2025-04-01T08:00:00+08:00"), "its run has begun, and has not come to this account"
    product.run()
    assert not refused("2025-04-01T08:00:01+08:00")
    product.report(events("acct-1", 1, "2025-03-15T09:00:00+08:00", "late"))
    product.report(events("acct-1", 1, "2025-04-01T08:00:01+08:00", "next"))
    assert not refused("2025-04-01T08:00:02+08:00")
    assert refused("2025-04-01T08:00:02+08:00", "2025-04")
    assert refused("2025-04-01T08:00:02+08:00", "2999-12")
    assert not refused("2025-04-01T08:00:02+08:00", "2020-01")


def test_a_month_before_the_account_is_empty(closed: Product) -> None:
    """An account has nothing in a month before it was opened: an export of it has headers only."""
    assert len(table(made(closed, month="2020-02", kind="resources"))) == 1
    pack = made(closed, key="p", month="2020-02", kind="pack", format="xlsx", locale="en")
    book = openpyxl.load_workbook(io.BytesIO(pack))
    assert [sheet.max_row for sheet in book if sheet.title != "Summary"] == [1, 1]


def test_an_export_is_as_of_when_it_was_asked_for(closed: Product) -> None:
    """What is charged afterwards, for usage of the same month, is not in the file, however late that is made."""
    first = ask(closed, key="first").body["export_id"]
    before = len(rows(closed, f"{A}/bills/details", month=MONTH))
    closed.report(events("acct-1", 2, "2025-03-20T10:00:00+08:00", "later"))
    closed.now = at("2025-04-02T08:00:00+08:00")
    closed.run()
    second = ask(closed, key="second").body["export_id"]
    closed.make_exports()
    assert [look(closed, export)["rows"] for export in (first, second)] == [before, before + 1]
    assert look(closed, first)["as_of"] == CLOSED


# From asking to fetching


def test_an_export_goes_its_way(closed: Product) -> None:
    """It is processing, then completed with a link for a quarter of an hour, and after a week expired without one."""
    asked = ask(closed, kind="pack", format="xlsx", columns=["tag", "total_cost"])
    assert asked.status == 202
    told, export_id = asked.body, asked.body["export_id"]
    assert look(closed, export_id) == told
    nothing = {"url": None, "rows": None, "bytes": None, "completed_at": None, "expires_at": None}
    assert told == {
        "export_id": export_id,
        "status": "processing",
        "month": MONTH,
        "basis": "usage",
        "kind": "pack",
        "format": "xlsx",
        "columns": ["tag", "total_cost"],
        "locale": "zh-CN",
        "as_of": CLOSED,
        "created_at": CLOSED,
        **nothing,
    }
    closed.now += timedelta(seconds=30)
    closed.make_exports()
    done = look(closed, export_id)
    assert done["status"] == "completed"
    assert done["completed_at"] == "2025-04-01T09:00:30+08:00"
    assert done["expires_at"] == "2025-04-08T09:00:30+08:00"
    link = urlsplit(done["url"])
    assert link.hostname == f"{EXPORTS}.s3.ap-southeast-1.amazonaws.com"
    query = parse_qs(link.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["900"]
    saved_as = 'attachment; filename="bills-acct-1-2025-03-pack-by-usage.xlsx"'
    assert requests.get(done["url"], timeout=5).headers["content-disposition"] == saved_as
    assert due(closed, export_id) is None
    closed.now = at("2025-04-08T09:00:29+08:00")
    assert look(closed, export_id)["status"] == "completed"
    closed.now = at("2025-04-08T09:00:30+08:00")
    assert look(closed, export_id) == {**done, "status": "expired", "url": None}


@pytest.mark.parametrize("export_id", ["x", "export-20250401090000-0123456789abcdef", "%00", "%F0%9F%80%84"])
def test_an_unknown_export_is_not_found(closed: Product, export_id: str) -> None:
    """404 `export_not_found` for an id that the account has no export of."""
    reply = closed.request("GET", f"{URL}/{export_id}", scopes=CUSTOMER, account_id="acct-1")
    assert (reply.status, reply.code) in {(404, "export_not_found"), (404, "route_not_found")}
    assert reply.code == "export_not_found" or export_id.startswith("%")


def test_another_accounts_export_is_not_found(closed: Product) -> None:
    """The id of an export says nothing under another account."""
    export_id = ask(closed).body["export_id"]
    assert closed.request("POST", "/v1/accounts", {"account_id": "acct-2", "name": "Other"}).status == 201
    reply = closed.get(f"/v1/accounts/acct-2/bills/exports/{export_id}")
    assert (reply.status, reply.code) == (404, "export_not_found")


def test_the_same_request_is_one_export(closed: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key is answered the first answer, also where that was lost; another body is refused."""
    lose_answer(monkeypatch)
    first = ask(closed)
    again = ask(closed)
    assert (again.status, again.text, again.headers["idempotent-replayed"]) == (202, first.text, "true")
    assert ask(closed, format="xlsx").code == "idempotency_key_reused"
    assert ask(closed, key="other").body["export_id"] != first.body["export_id"]
    reply = closed.request("POST", URL, {"month": MONTH, "kind": "details", "format": "csv"})
    assert reply.code == "idempotency_key_missing"
    waiting = [json.loads(body)["export_id"] for bodies in queued(closed) for body in bodies]
    assert sorted(waiting) == sorted({first.body["export_id"], ask(closed, key="other").body["export_id"]})


def queued(product: Product) -> Iterator[list[str]]:
    """The bodies of all messages that wait."""
    return product._taken(os.environ["EXPORT_QUEUE_URL"])


# When something breaks


def test_an_export_that_nobody_was_told_of_is_made(closed: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer does not depend on the queue: where that is out of order, the sweep asks ten minutes later."""

    def broken(**_: Any) -> Any:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(clients.sqs(), "send_message", broken)
        reply = ask(closed)
    assert reply.status == 202
    export_id = reply.body["export_id"]
    closed.make_exports()
    assert look(closed, export_id)["status"] == "processing"
    assert due(closed, export_id) == "2025-04-01T09:10:00+08:00"
    closed.sweep_until(at("2025-04-01T09:10:00+08:00"))
    assert due(closed, export_id) == "2025-04-01T09:20:00+08:00"
    closed.make_exports()
    assert look(closed, export_id)["status"] == "completed"
    assert due(closed, export_id) is None


def test_an_export_that_is_never_made_fails_after_an_hour(closed: Product) -> None:
    """What no worker makes is asked for every ten minutes, and after an hour it has failed, for good."""
    export_id = ask(closed).body["export_id"]
    closed.sweep_until(at("2025-04-01T09:59:59+08:00"))
    assert look(closed, export_id)["status"] == "processing"
    assert sum(len(bodies) for bodies in queued(closed)) == 6
    closed.sweep_until(at("2025-04-01T10:00:00+08:00"))
    assert look(closed, export_id)["status"] == "failed"
    assert due(closed, export_id) is None
    body = json.dumps({"account_id": "acct-1", "export_id": export_id})
    closed.hand_over("ExportWorkerFunction", [body])
    assert look(closed, export_id)["status"] == "failed"


def test_a_worker_that_keeps_failing_gives_up(closed: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message goes back, and with its last try the customer is told; a message that says nothing harms nobody."""
    export_id = ask(closed).body["export_id"]
    (bodies,) = queued(closed)

    def broken(*_: Any) -> Any:
        raise LookupError

    def handed(body: str, received: int) -> Any:
        records = queue_records([body])
        records["Records"][0]["attributes"] = {"ApproximateReceiveCount": str(received)}
        return closed.invoke("ExportWorkerFunction", records)

    again = {"batchItemFailures": [{"itemIdentifier": "m-0"}]}
    with monkeypatch.context() as patch:
        patch.setattr(making.Maker, "make", broken)
        assert handed(bodies[0], worker.MAX_RECEIVES - 1) == again
        assert look(closed, export_id)["status"] == "processing"
        assert handed(bodies[0], worker.MAX_RECEIVES) == again
    assert look(closed, export_id)["status"] == "failed"
    assert due(closed, export_id) is None
    for body in ("{", "{}", json.dumps({"account_id": "acct-1", "export_id": "nothing"})):
        assert handed(body, worker.MAX_RECEIVES) == again


def test_a_completed_export_is_left_alone(closed: Product) -> None:
    """A message that comes again, or late, makes no file anew and changes nothing."""
    export_id = ask(closed).body["export_id"]
    (bodies,) = queued(closed)
    assert closed.s3
    closed.hand_over("ExportWorkerFunction", bodies)
    done = stored(closed, export_id)
    closed.s3.delete_object(Bucket=EXPORTS, Key=f"exports/acct-1/{export_id}.csv")
    closed.now += timedelta(minutes=1)
    closed.hand_over("ExportWorkerFunction", bodies)
    assert stored(closed, export_id) == done
    assert closed.s3.list_objects_v2(Bucket=EXPORTS, Prefix=f"exports/acct-1/{export_id}.csv")["KeyCount"] == 0
