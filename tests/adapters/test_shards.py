"""Due-indexes of several partitions: whatever is due is found in every one of them."""

from __future__ import annotations

import pytest

from aws_platform import keys
from tests.adapters.prepaid import TAG, buy, give_back
from tests.support.product import Product, events

SHARDS = 3
ACCOUNTS = {keys.shard_of(account_id, SHARDS): account_id for account_id in (f"acct-{n}" for n in range(1, 20))}
"""An account of each."""


@pytest.fixture
def spread(product: Product, monkeypatch: pytest.MonkeyPatch) -> Product:
    """The product with several partitions, and an account with money in each."""
    monkeypatch.setenv("DUE_SHARDS", str(SHARDS))
    for account_id in ACCOUNTS.values():
        product.open_account(account_id, cash="1000.00", opened_at="2025-01-01T00:00:00+08:00")
    return product


def test_every_shard_is_settled_and_verified(spread: Product) -> None:
    """A run settles the accounts of all shards, and the job of the day verifies them, once."""
    assert sorted(ACCOUNTS) == keys.all_shards(SHARDS)
    for account_id in ACCOUNTS.values():
        spread.report(events(account_id, 5, spread.now.isoformat(), account_id))
    spread.move("2025-03-02T12:00:00+08:00")
    for account_id in ACCOUNTS.values():
        (line,) = spread.get(f"/v1/accounts/{account_id}/bills/details", month="2025-03", basis="charge").body["items"]
        assert (line["tag"], line["total_cost"]) == (TAG, "1.50000000")
    assert spread.verify()["days"] == len(ACCOUNTS)
    assert spread.verify()["days"] == 0


def test_timers_of_every_shard_run(spread: Product) -> None:
    """One sweep pays the refunds of all shards."""
    for account_id in ACCOUNTS.values():
        (package,) = buy(spread, account_id=account_id)
        assert give_back(spread, package, account_id=account_id).status == 202
    spread.now = spread.now.replace(hour=11)
    assert spread.invoke("TimersFunction", {"task": "sweep"}) == {"done": len(ACCOUNTS), "failed": 0, "left": 0}
