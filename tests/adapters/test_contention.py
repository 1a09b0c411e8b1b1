"""Busy tables: what is answered when others write at the same time, and that nothing happens twice or half."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from aws_platform import clients
from tests.adapters.steps import A, balance, rows, tables
from tests.support.product import Product, Reply

TOP_UP = {"fund": "cash", "amount": "1.00"}


def cancelled(*reasons: str) -> ClientError:
    """A transaction that was cancelled, with a reason for each item."""
    answer: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": [{"Code": reason} for reason in reasons],
    }
    return ClientError(answer, "TransactWriteItems")


def failed(code: str) -> ClientError:
    """Another error of AWS."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "TransactWriteItems")


LOST = ReadTimeoutError(endpoint_url="https://dynamodb")


class Disturbed:
    """Makes transactions fail: before they happen, or after, when only the answer is lost."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        client = clients.dynamodb()
        self.before: Iterator[Exception | None] = iter(())
        self.after: Iterator[Exception | None] = iter(())
        self.tries = 0
        transact: Callable[..., Any] = client.transact_write_items

        def disturbed(**request: Any) -> Any:
            self.tries += 1
            if (error := next(self.before, None)) is not None:
                raise error
            answer = transact(**request)
            if (error := next(self.after, None)) is not None:
                raise error
            return answer

        patch.setattr(client, "transact_write_items", disturbed)


@pytest.fixture
def disturbed(metered: Product, monkeypatch: pytest.MonkeyPatch) -> Disturbed:
    """The client of this product, to be disturbed."""
    assert metered.now is not None
    return Disturbed(monkeypatch)


def pay(product: Product, key: str = "k") -> Reply:
    """A top-up of one yuan."""
    return product.request("POST", f"{A}/top-ups", TOP_UP, headers={"Idempotency-Key": key})


def test_a_request_in_flight_is_a_conflict(metered: Product, disturbed: Disturbed) -> None:
    """While another request with the key holds its record, the second hears `request_in_progress` and does nothing."""
    before = tables(metered)
    disturbed.before = iter([cancelled("TransactionConflict", "None", "None")] * 100)
    reply = pay(metered)
    assert (reply.status, reply.code) == (409, "request_in_progress")
    assert tables(metered) == before
    disturbed.before = iter(())
    assert pay(metered).status == 201
    assert balance(metered)["cash"] == "1001.00"


@pytest.mark.parametrize(
    "error",
    [
        cancelled("None", "TransactionConflict", "None"),
        failed("ThrottlingException"),
        failed("ProvisionedThroughputExceededException"),
        failed("TransactionInProgressException"),
    ],
    ids=["another writer", "throttled", "no throughput", "in progress"],
)
def test_a_busy_table_is_to_be_tried_again(metered: Product, disturbed: Disturbed, error: Exception) -> None:
    """When others contend for too long the answer is 503 `try_again`; the same request then has its effect once."""
    before = tables(metered)
    disturbed.before = iter([error] * 100)
    for method, path, body in (
        ("POST", f"{A}/top-ups", TOP_UP),
        ("PATCH", A, {"postpaid_enabled": False}),
        ("POST", "/v1/accounts", {"account_id": "new", "name": "Example"}),
    ):
        reply = metered.request(method, path, body, headers={"Idempotency-Key": "k"})
        assert (reply.status, reply.code) == (503, "try_again")
        assert reply.headers["retry-after"].isdigit()
    assert tables(metered) == before
    disturbed.before = iter(())
    assert pay(metered).status == 201
    assert balance(metered)["cash"] == "1001.00"


def test_contention_that_ends_is_not_noticed(metered: Product, disturbed: Disturbed) -> None:
    """A few conflicts are tried over, with one effect."""
    conflict = cancelled("None", "TransactionConflict", "None")
    disturbed.before = iter([conflict, conflict, failed("ThrottlingException")])
    assert pay(metered).body["balance"]["cash"] == "1001.00"
    assert disturbed.tries == 4


def test_an_answer_that_was_lost_is_found(metered: Product, disturbed: Disturbed) -> None:
    """A transaction that happened though its answer was lost is not done again; the request is answered as ever."""
    disturbed.after = iter([LOST])
    reply = pay(metered)
    assert (reply.status, reply.body["balance"]["cash"]) == (201, "1001.00")
    again = pay(metered)
    assert (again.text, again.headers["idempotent-replayed"]) == (reply.text, "true")
    entries = [entry for entry in rows(metered, f"{A}/journal") if entry["amount"] == "1.00"]
    assert len(entries) == 1


def test_a_write_that_never_happened_is_done(metered: Product, disturbed: Disturbed) -> None:
    """A time-out before the write is followed by the write, once."""
    disturbed.before = iter([LOST, failed("InternalServerError")])
    assert pay(metered).body["balance"]["cash"] == "1001.00"


def test_an_account_created_with_a_lost_answer_exists_once(metered: Product, disturbed: Disturbed) -> None:
    """Whatever is answered after a lost write, the account is there, as it was asked for, and only once."""
    disturbed.after = iter([LOST])
    reply = metered.request("POST", "/v1/accounts", {"account_id": "new", "name": "Example"})
    assert reply.status in {201, 409}
    assert metered.get("/v1/accounts/new").body["name"] == "Example"


def test_a_fault_of_ours_says_nothing(metered: Product, disturbed: Disturbed) -> None:
    """An error that is no contention is answered as 500 `internal_error` without its cause, and keeps nothing."""
    before = tables(metered)
    disturbed.before = iter([failed("AccessDeniedException")])
    reply = pay(metered)
    assert (reply.status, reply.code) == (500, "internal_error")
    assert "Denied" not in reply.text
    assert tables(metered) == before
    assert pay(metered).status == 201


def test_a_version_that_others_took_is_read_again(metered: Product, disturbed: Disturbed) -> None:
    """Who comes second reads again and adds to what the first one left."""
    client = clients.dynamodb()
    transact = client.transact_write_items

    def second(**request: Any) -> Any:
        if not meddled:
            meddled.append(True)
            assert metered.request("PATCH", A, {"postpaid_enabled": False}).status == 200
            assert pay(metered, "other").status == 201
        return transact(**request)

    meddled: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "transact_write_items", second)
        assert pay(metered).body["balance"]["cash"] == "1002.00"
    assert metered.get(A).body["postpaid_enabled"] is False
    assert disturbed.tries >= 3


def test_logs_hold_no_personal_data(product: Product, caplog: pytest.LogCaptureFixture) -> None:
    """Contacts, names and what was wrong with them appear in no log record, whatever the outcome."""
    secret = "secret-word"
    contact = {"email": f"{secret}@example.com", "phone": "13812345678", "locale": "en"}
    new = {"account_id": "acct-1", "name": secret, "contact": contact}
    assert product.request("POST", "/v1/accounts", new).status == 201
    assert product.request("POST", "/v1/accounts", new).status == 409
    assert product.request("POST", "/v1/accounts", {**new, "contact": {"email": secret}}).status == 422
    assert product.request("POST", "/v1/accounts", f'{{"{secret}"').status == 400
    assert product.request("PATCH", A, {"contact": contact}).status == 200
    assert product.request("POST", f"{A}/service/application", {"purpose": secret}).status == 202
    product.report([{"id": secret, "data": {"sub_account": secret}}])
    product.invoke("IngestFunction", {"Records": [{"messageId": "m", "body": f'[{{"{secret}"'}]})
    assert len(caplog.records) >= 8
    for record in caplog.records:
        shown = json.dumps(vars(record), default=str) + caplog.handler.format(record)
        assert secret not in shown
        assert "13812345678" not in shown
