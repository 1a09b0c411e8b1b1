"""What is put back into a table that has lost something, and what is left alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from aws_platform import keys, records
from rating.schedule import Cycle
from tools.ops.lost import Found, unchanged
from tools.ops.lost_ledger import kind_of, lost_of_account
from tools.ops.lost_usage import lost_of_buckets, lost_of_days

type Items = dict[str, dict[str, Any]]

ACCOUNT_ID = "acct-1"
BILL, PAGE, NOTICE, DELIVERY, WALLET = "B#2025-03#a#1", "J#2025-03#0000000002", "N#1", "D#1#email#x", keys.wallet("a")
ORDER, GRANT, REFUND = "O#order-1", "G#grant-1", "R#refund-1"
DAY = date(2025, 3, 1)


def item(sort_key: str, **attributes: str) -> dict[str, Any]:
    """An item of the account's partition."""
    return {"pk": {"S": keys.ledger(ACCOUNT_ID)}, "sk": {"S": sort_key}} | {
        name: {"S": value} for name, value in attributes.items()
    }


def account(version: int, last_order: tuple[str, int] | None = None, **parts: int) -> dict[str, Any]:
    """The account's own item; parts are wallets of tags."""
    named = {keys.wallet(tag): number for tag, number in parts.items()}
    body = json.dumps({"parts": named, "last_order": last_order})
    return item(keys.ACCOUNT, body=body) | {"version": {"N": str(version)}}


def part(sort_key: str, version: int, **attributes: str) -> dict[str, Any]:
    """A part of the account, or an order, as of a version of the account."""
    return item(sort_key, **attributes) | {"version": {"N": str(version)}}


def by_key(*items: dict[str, Any]) -> Items:
    """Items by sort key."""
    return {one["sk"]["S"]: one for one in items}


def lost(then: Items, now: Items) -> list[str]:
    """The sort keys that are put back, in their order."""
    return [one.item["sk"]["S"] for one in lost_of_account(ACCOUNT_ID, then, now).lost]


WHOLE = by_key(account(2, a=2), part(WALLET, 2), item(BILL), item(PAGE), item(NOTICE), item(DELIVERY))


def without(items: Items, sort_key: str) -> Items:
    """All items but one."""
    return {key: one for key, one in items.items() if key != sort_key}


def test_nothing_is_lost() -> None:
    """Of an account that is as it was nothing is put back, and what came since is counted only."""
    found = lost_of_account(ACCOUNT_ID, WHOLE, WHOLE | by_key(item("N#2")))
    assert (found.lost, found.unclear, found.newer) == ([], [], Counter({"notice-pages": 1}))


def test_a_lost_account_comes_back_whole() -> None:
    """Of an account that is gone all comes back: deliveries before notices, the account after everything else."""
    assert lost(WHOLE, {}) == [DELIVERY, BILL, PAGE, NOTICE, WALLET, keys.ACCOUNT]


@pytest.mark.parametrize("sort_key", [BILL, PAGE, NOTICE, "C#1#2", "I#route#digest", "E#1", "V#1"])
def test_what_never_changes_is_put_back(sort_key: str) -> None:
    """What is written once comes back where it is missing or altered, though money has moved since."""
    then = WHOLE | by_key(item(sort_key, page="right"))
    now = then | by_key(account(3))
    assert lost(then, without(now, sort_key)) == [sort_key]
    found = lost_of_account(ACCOUNT_ID, then, now | by_key(item(sort_key, page="altered")))
    assert [(one.item, one.seen) for one in found.lost] == [(then[sort_key], item(sort_key, page="altered"))]


@pytest.mark.parametrize("sort_key", [ORDER, GRANT])
def test_an_order_that_is_missing_or_older_comes_back(sort_key: str) -> None:
    """An order or a grant comes back where it is gone or of an older version, though money has moved since."""
    then = WHOLE | by_key(part(sort_key, 2))
    now = then | by_key(account(5))
    assert lost(then, without(now, sort_key)) == [sort_key]
    assert lost(then, now | by_key(part(sort_key, 1))) == [sort_key]


@pytest.mark.parametrize("sort_key", [ORDER, GRANT])
def test_an_order_that_was_refunded_or_blocked_since_stays(sort_key: str) -> None:
    """An order or a grant of a newer version, which the account knows of, is not taken back, and nothing is amiss."""
    then = WHOLE | by_key(part(sort_key, 2))
    found = lost_of_account(ACCOUNT_ID, then, then | by_key(account(5, a=2), part(sort_key, 4, body="refunded")))
    assert (found.lost, found.unclear) == ([], [])
    assert found.newer == Counter({kind_of(sort_key): 1})


def test_an_order_that_cannot_be_right_is_for_a_person() -> None:
    """An order that is newer than its account, or another one of the same version, is named and left."""
    then = WHOLE | by_key(part(ORDER, 2))
    for there, why in ((part(ORDER, 9), "newer than the account"), (part(ORDER, 2, body="x"), "the same version")):
        found = lost_of_account(ACCOUNT_ID, then, then | by_key(account(5, a=2), there))
        assert found.lost == []
        assert why in str(found.unclear)


def test_a_lost_order_that_the_account_knows_newer_is_for_a_person() -> None:
    """The account's last order does not come back older than the account knows it: nobody could read the two."""
    then = WHOLE | by_key(part(ORDER, 2))
    found = lost_of_account(ACCOUNT_ID, then, WHOLE | by_key(account(5, (ORDER, 4), a=2)))
    assert found.lost == []
    assert ORDER in str(found.unclear)
    assert lost(then, WHOLE | by_key(account(5, (ORDER, 2), a=2))) == [ORDER]


@pytest.mark.parametrize("sort_key", [BILL, PAGE, ORDER, GRANT, REFUND])
def test_newer_money_of_a_lost_account_is_for_a_person(sort_key: str) -> None:
    """Where money is newer than all that is known of the account, neither it nor its parts come back from the copy."""
    came = part(sort_key, 4)
    assert {WALLET, keys.ACCOUNT}.isdisjoint(lost(without(WHOLE, sort_key), by_key(came)))
    found = lost_of_account(ACCOUNT_ID, without(WHOLE, sort_key), by_key(came))
    assert found.unclear == [f"the account is gone or old, but has newer {kind_of(sort_key)}"]


def test_a_refund_that_was_paid_since_is_newer_money() -> None:
    """A refund that has been completed since the copy tells that a lost account cannot come back as it was."""
    paid = item(REFUND) | {"completed": {"BOOL": True}}
    found = lost_of_account(ACCOUNT_ID, WHOLE | by_key(item(REFUND)), by_key(paid))
    assert {REFUND, WALLET, keys.ACCOUNT}.isdisjoint(one.item["sk"]["S"] for one in found.lost)
    assert found.unclear == ["the account is gone or old, but has newer refunds"]


def test_newer_money_stays() -> None:
    """What the account has become since is not taken back: neither itself nor a part that it changed or gave up."""
    changed = WHOLE | by_key(account(5, a=4), part(WALLET, 4))
    assert lost(WHOLE, changed) == []
    assert lost(WHOLE, without(WHOLE | by_key(account(5)), WALLET)) == []


def test_a_part_that_the_account_names_comes_back() -> None:
    """A wallet that is missing comes back though money has moved, if the account names it in just this version."""
    assert lost(WHOLE, without(WHOLE | by_key(account(5, a=2)), WALLET)) == [WALLET]


def test_what_has_no_lock_is_only_added() -> None:
    """A delivery that is another one now stays; one that is missing comes back."""
    assert lost(WHOLE, WHOLE | by_key(item(DELIVERY, status="sent"))) == []
    assert lost(WHOLE, without(WHOLE, DELIVERY)) == [DELIVERY]


@pytest.mark.parametrize("sort_key", [f"{keys.WEBHOOK_PREFIX}1", f"{keys.ADDRESS_PREFIX}1"])
def test_what_is_deleted_on_purpose_comes_back_with_the_account_only(sort_key: str) -> None:
    """A webhook or blocked address that is gone is for a person to judge, unless the whole account is gone."""
    then = WHOLE | by_key(item(sort_key))
    for now in (WHOLE, WHOLE | by_key(account(5, a=2))):
        found = lost_of_account(ACCOUNT_ID, then, now)
        assert found.lost == []
        assert sort_key in str(found.unclear)
    assert sort_key in lost(then, {})
    assert lost(then, WHOLE | by_key(item(sort_key, failed="x"))) == []


def test_every_kind_of_item_is_known() -> None:
    """No sort key of the ledger is unknown to whoever puts items back."""
    prefixes = {
        value: name
        for name, value in vars(keys).items()
        if name.endswith("_PREFIX") and isinstance(value, str) and value not in {keys.DUE_PREFIX, keys.LATE_PREFIX}
    }
    assert {name for prefix, name in prefixes.items() if kind_of(prefix + "x") == "others"} == set()


@pytest.mark.parametrize("seen", [None, {"pk": {"S": "a"}, "n": {"N": "1"}}])
def test_a_put_is_on_the_condition_of_what_was_seen(seen: Mapping[str, Any] | None) -> None:
    """An item goes only to where nothing is, or where just that is which was seen."""
    condition = unchanged(seen)
    if seen is None:
        assert condition == {"ConditionExpression": "attribute_not_exists(pk)"}
        return
    expression = condition["ConditionExpression"]
    names, values = condition["ExpressionAttributeNames"], condition["ExpressionAttributeValues"]
    asked = {names[left]: values[right] for left, right in (one.split(" = ") for one in expression.split(" AND "))}
    assert asked == seen


# Usage


def bucket(generation: int, count: int, first: int = 0) -> dict[str, Any]:
    """A generation of the one bucket, with so many records."""
    content = b"".join(number.to_bytes(records.RECORD_BYTES, "big") for number in range(first, first + count))
    sort_key = records.bucket_key(7, "source", generation)
    return {"pk": {"S": keys.usage_day(ACCOUNT_ID, DAY)}, "sk": {"S": sort_key}, "r": {"B": content}}


def buckets_lost(then: Items, now: Items) -> Found:
    """What of a day's buckets is put back."""
    found = Found(ACCOUNT_ID)
    lost_of_buckets(found, DAY, then, now)
    return found


def test_buckets_that_have_grown_stay() -> None:
    """A bucket that begins as it was is all there, in however many generations."""
    then = by_key(bucket(0, 48), bucket(1, 3, 48))
    assert buckets_lost(then, by_key(bucket(0, 48), bucket(1, 50, 48), bucket(2, 1, 98))).lost == []


def test_lost_generations_come_back() -> None:
    """A generation that is gone or shorter is put back in the place of what was seen there."""
    then = by_key(bucket(0, 48), bucket(1, 3, 48))
    found = buckets_lost(then, by_key(bucket(0, 48), bucket(1, 1, 48)))
    assert [(one.item, one.seen) for one in found.lost] == [(bucket(1, 3, 48), bucket(1, 1, 48))]
    assert [one.item for one in buckets_lost(then, {}).lost] == list(then.values())


def test_a_bucket_with_other_calls_is_for_the_replay() -> None:
    """Where other calls were stored since the loss, nothing is put over them."""
    found = buckets_lost(by_key(bucket(0, 3)), by_key(bucket(0, 2, 7)))
    assert (found.lost, len(found.unclear)) == ([], 1)
    assert "make ops-replay DAY=2025-03-01" in found.unclear[0]


def names(*codes: str) -> dict[str, Any]:
    """A dictionary."""
    listed = {"L": [{"S": one} for one in codes]}
    return {"pk": {"S": "p"}, "sk": {"S": keys.DICTIONARY}, "sub_accounts": {"L": []}, "codes": listed}


@pytest.mark.parametrize(
    "now,is_lost,unclear",
    [(names("0", "1", "2"), 0, 0), (names("0"), 1, 0), (names("1", "0"), 0, 1), (None, 1, 0)],
)
def test_the_dictionary(now: dict[str, Any] | None, is_lost: int, unclear: int) -> None:
    """A dictionary that has grown stays, a lost or shorter one comes back, one with other numbers is for a person."""
    found = Found(ACCOUNT_ID)
    lost_of_days(found, by_key(names("0", "1")), by_key(now) if now else {}, Cycle.DAILY, DAY, 4)
    assert (len(found.lost), len(found.unclear)) == (is_lost, unclear)


@pytest.mark.parametrize("cycle,run", [(Cycle.DAILY, "2025-03-02"), (Cycle.MONTHLY, "2025-04-01")])
def test_lost_days_come_back_as_due(cycle: Cycle, run: str) -> None:
    """A day that is put back waits for its run, whatever it waited for then."""
    sort_key = keys.day_item(DAY)
    then = by_key({"pk": {"S": "p"}, "sk": {"S": sort_key}, "due_pk": {"S": "verify#0"}, "due_sk": {"S": "x"}})
    found = Found(ACCOUNT_ID)
    lost_of_days(found, then, {}, cycle, DAY, 4)
    (one,) = found.lost
    assert one.item["due_pk"] == {"S": keys.shard_of(ACCOUNT_ID, 4)}
    assert one.item["due_sk"] == {"S": f"{run}#{ACCOUNT_ID}#{sort_key}"}


def test_days_that_no_run_looks_at_come_back_as_settled() -> None:
    """A day from before the first that runs look at is put back, but does not wait for a run that never takes it."""
    sort_key = keys.day_item(DAY)
    day = {"pk": {"S": "p"}, "sk": {"S": sort_key}}
    found = Found(ACCOUNT_ID)
    waiting = {"due_pk": {"S": "verify#0"}, "due_sk": {"S": "x"}}
    lost_of_days(found, by_key(day | waiting), {}, Cycle.DAILY, DAY + timedelta(days=1), 4)
    assert [one.item for one in found.lost] == [day]
