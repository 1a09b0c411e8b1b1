"""Every settled day computed again: for the end of any history, where there is nothing to find."""

from __future__ import annotations

from datetime import date

from aws_platform import keys
from aws_platform.price_book import read_catalog
from aws_platform.settings import Settings
from aws_platform.verification import Verified, Verifier
from tests.faults.support import Cloud


def verifier(cloud: Cloud) -> Verifier:
    """What verifies in this world, without faults."""
    dynamodb, settings = cloud.product.dynamodb, Settings(usage_table="usage", ledger_table="ledger")
    return Verifier(dynamodb, settings, read_catalog(dynamodb, "ledger"))


def used_days(cloud: Cloud) -> list[tuple[str, date]]:
    """Every account and day that has buckets."""
    found = {item["pk"]["S"].rpartition("#")[::2] for item in cloud.world.items("usage") if "r" in item}
    return sorted((account_id, date.fromisoformat(digits)) for account_id, digits in found)


def verified(cloud: Cloud) -> list[Verified]:
    """What the verification says of all of them."""
    verify = verifier(cloud).verify
    return [verify(account_id, day, cloud.world.clock.now) for account_id, day in used_days(cloud)]


def check_verified(cloud: Cloud) -> None:
    """Once everything is settled, nothing is different, and each day with usage waits to be verified by the job."""
    waiting = {
        item["sk"]["S"].removeprefix(keys.DAY_PREFIX)
        for item in cloud.world.items("usage")
        if item.get("due_pk", {"S": ""})["S"].startswith("verify#")
    }
    for one in verified(cloud):
        assert not one.differences, f"{one.account_id} {one.day}: {one.differences}"
        assert one.settled, f"{one.account_id} {one.day} is not settled"
        assert one.day.isoformat() in waiting, f"{one.account_id} {one.day} would not be verified"
