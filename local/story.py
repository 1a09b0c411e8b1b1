"""The small print of the demo: a client of the API, and how figures are laid out in a terminal."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import httpx

from local.emulator import REGION

if TYPE_CHECKING:
    from local.cloud import LocalCloud

BATCH = "application/cloudevents-batch+json"


class Teller:
    """Speaks to the API as its users, and stops the story when an answer is a refusal. A context manager."""

    def __init__(self, cloud: LocalCloud) -> None:
        """Take the running cloud."""
        self._cloud = cloud
        self._http = httpx.Client(base_url=cloud.url, timeout=60)
        self._operator = cloud.token(None, "billing:admin")
        self._producer = cloud.token(None, "usage:write")

    def __enter__(self) -> Self:
        """The teller itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def operator(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """A call of the operator."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._call(method, path, self._operator, json=body, headers=headers)

    def customer(self, account_id: str, path: str, **query: str) -> Any:
        """A customer reads something of its own; `from_` is `from`."""
        token = self._cloud.token(account_id, "billing:read")
        params = {name.rstrip("_"): value for name, value in query.items()}
        return self._call("GET", f"/v1/accounts/{account_id}{path}", token, params=params)

    def buyer(
        self, account_id: str, method: str, path: str, body: Any, key: str | None = None, scope: str = "billing:write"
    ) -> Any:
        """A customer changes something of its own."""
        token = self._cloud.token(account_id, scope)
        headers = {"Idempotency-Key": key} if key else {}
        return self._call(method, f"/v1/accounts/{account_id}{path}", token, json=body, headers=headers)

    def refusal(self, account_id: str, path: str, body: Any, key: str) -> str:
        """The code with which a customer's request is refused. Raises RuntimeError where it is not."""
        token = self._cloud.token(account_id, "billing:write")
        headers = {"Idempotency-Key": key, "Authorization": f"Bearer {token}"}
        response = self._http.post(f"/v1/accounts/{account_id}{path}", json=body, headers=headers)
        if not response.is_error:
            message = f"POST {path}: {response.status_code}, which should have been refused"
            raise RuntimeError(message)
        return str(response.json()["code"])

    def report(self, events: Sequence[Mapping[str, Any]]) -> Any:
        """A gateway reports calls."""
        return self._call("POST", "/v1/usage", self._producer, json=list(events), headers={"Content-Type": BATCH})

    def move_to(self, instant: str) -> list[dict[str, str]]:
        """Time passes; what fell due on the way."""
        ran: list[dict[str, str]] = self._call("PUT", "/sandbox/clock", None, json={"now": instant})["ran"]
        return ran

    def messages(self) -> list[dict[str, Any]]:
        """E-mails and SMS as handed to the provider."""
        items: list[dict[str, Any]] = self._call("GET", "/sandbox/messages", None)["items"]
        return items

    def events(self) -> list[dict[str, Any]]:
        """What the bus saw."""
        items: list[dict[str, Any]] = self._call("GET", "/sandbox/events", None)["items"]
        return items

    def query(self, sql: str, database: str) -> list[dict[str, str]]:
        """The rows that Athena answers, by column."""
        athena = self._cloud.client("athena")
        workgroup = self._cloud.resources["ArchiveWorkGroup"]
        context = {"Database": database}
        asked = athena.start_query_execution(QueryString=sql, QueryExecutionContext=context, WorkGroup=workgroup)
        execution = asked["QueryExecutionId"]
        while (state := _state_of(athena, execution)) in {"QUEUED", "RUNNING"}:
            time.sleep(0.1)
        agree(state == "SUCCEEDED", f"the query {state}: {sql}")
        pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=execution)
        rows = [
            [cell.get("VarCharValue", "") for cell in row["Data"]]
            for page in pages
            for row in page["ResultSet"]["Rows"]
        ]
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]

    def ledger(self) -> tuple[str, Mapping[str, str]]:
        """The ledger's table, and the environment in which the operator's commands find this cloud."""
        return self._cloud.resources["LedgerTable"], {
            "AWS_ENDPOINT_URL": self._cloud.emulator.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }

    def _call(self, method: str, path: str, token: str | None, **request: Any) -> Any:
        headers = dict(request.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if request.get("json", ...) is None:
            del request["json"]
        response = self._http.request(method, path, headers=headers, **request)
        if response.is_error:
            message = f"{method} {path}: {response.status_code} {response.text}"
            raise RuntimeError(message)
        return response.json()


def _state_of(athena: Any, execution: str) -> str:
    return str(athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]["Status"]["State"])


def heading(text: str) -> None:
    """A new chapter."""
    print(f"\n== {text} {'=' * max(0, 96 - _width(text))}")


def say(text: str) -> None:
    """A sentence."""
    print(f"   {text}")


def table(rows: Sequence[Sequence[object]], titles: Sequence[str]) -> None:
    """A table; numbers to the right."""
    lines = [list(titles), *([str(cell) for cell in row] for row in rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(titles))]
    for number, line in enumerate(lines):
        cells = []
        for text, width in zip(line, widths, strict=True):
            gap = " " * (width - _width(text))
            cells.append(gap + text if text[:1].isdigit() or text[:1] == "-" else text + gap)
        print("   " + "  ".join(cells).rstrip())
        if number == 0:
            print("   " + "  ".join("-" * width for width in widths))


def report_all(teller: Teller, events: list[dict[str, Any]]) -> dict[str, int]:
    """Report in batches of 1,000 and add up what the answers say."""
    sums: dict[str, int] = {}
    for start in range(0, len(events), 1000):
        answer = teller.report(events[start : start + 1000])
        for name in ("accepted", "not_chargeable", "duplicate", "conflict", "rejected"):
            sums[name] = sums.get(name, 0) + answer[name]
    return sums


def open_account(
    teller: Teller,
    account_id: str,
    name: str,
    cash: str,
    opened_at: str | None = None,
    contact: Mapping[str, str] | None = None,
) -> Any:
    """Create, apply, approve, pay in."""
    teller.operator("POST", "/v1/accounts", {"account_id": account_id, "name": name, "contact": dict(contact or {})})
    service = f"/v1/accounts/{account_id}/service"
    teller.operator("POST", f"{service}/application", {"purpose": "checking customers' identity"})
    teller.operator("POST", f"{service}/approval", {"opened_at": opened_at} if opened_at else {})
    teller.operator("POST", f"/v1/accounts/{account_id}/top-ups", {"fund": "cash", "amount": cash}, f"{account_id}-1")
    return teller.customer(account_id, "")


def one_instant(account_id: str, when: str, interface: str, prefix: str, number: int) -> list[dict[str, Any]]:
    """Charged calls of one instant."""
    return [
        {
            "specversion": "1.0",
            "id": f"{prefix}-{call}",
            "source": "/faceid/gateway-9",
            "type": "faceid.call",
            "subject": account_id,
            "time": when,
            "data": {"interface": interface, "result_code": "0"},
        }
        for call in range(number)
    ]


def agree(is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - what is claimed is the subject
    """End the story where its figures do not add up."""
    if not is_so:
        raise RuntimeError(otherwise)


def _width(text: str) -> int:
    """Columns in a terminal; Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
