"""Clients without AWS."""

from __future__ import annotations

import boto3
import pytest

from bench import canned


def test_instant_answers() -> None:
    """Every method of the object is answered by the function, under the operation's name."""
    client = canned.Instant(lambda operation, parameters: {"operation": operation, **parameters})
    assert client.batch_get_item(RequestItems={}) == {"operation": "BatchGetItem", "RequestItems": {}}


def test_replay() -> None:
    """Recorded answers come back in order, again after a rewind, and only for the calls they were recorded for."""
    client = canned.Replayed([("Query", {"Items": []}), ("PutItem", {})])
    assert client.query(TableName="t") == {"Items": []}
    with pytest.raises(ValueError, match="PutItem was recorded"):
        client.query(TableName="t")
    client.rewind()
    assert client.query(TableName="t") == {"Items": []}


def test_real_client_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real client parses an answer that never was on a network, binary values included."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=canned.NOWHERE)
    asked: list[str] = []

    def answer(operation: str) -> bytes:
        asked.append(operation)
        return canned.as_json({"Item": {"r": {"B": b"\0\1"}}, "ResponseMetadata": {}})

    canned.without_network(client, answer)
    found = client.get_item(TableName="t", Key={"pk": {"S": "a"}})
    assert found["Item"] == {"r": {"B": b"\0\1"}}
    assert asked == ["GetItem"]


def test_open_accounts() -> None:
    """Accounts that are asked for exist; their dictionaries do not."""
    wanted = {"ledger": {"Keys": [{"pk": {"S": "A#acct-1"}}]}, "usage": {"Keys": [{"pk": {"S": "acct-1#days"}}]}}
    found = canned.open_accounts({"RequestItems": wanted})["Responses"]
    assert [item["pk"]["S"] for item in found["ledger"]] == ["A#acct-1"]
    assert found["usage"] == []
