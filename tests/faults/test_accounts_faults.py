"""What the operator and the customer change beside money, under faults: each change once, and its packages with it."""

from __future__ import annotations

from collections import Counter

import pytest

from aws_platform import keys
from aws_platform.accounts import account_from_item
from aws_platform.snapshot import Snapshot, snapshot_of
from tests.faults.harness import ALL, Fault, exhaust, explore
from tests.faults.properties import check_always
from tests.faults.support import Cloud, Json, TryAgain

A = "/v1/accounts/daily"
NEW = "/v1/accounts/new"
SETTLED_LATER = "2025-04-01"
WRITES: dict[str, tuple[str, str, Json, int]] = {
    "approve": ("POST", f"{NEW}/service/approval", {}, 200),
    "merchant": ("POST", f"{A}/eid-merchants", {"merchant_id": "merchant-1"}, 201),
    "compensation": ("POST", f"{A}/adjustments", {"amount": "1.00", "reason": "goodwill"}, 201),
    "charge": ("POST", f"{A}/adjustments", {"amount": "-9.00", "reason": "a fee"}, 201),
    "voucher": ("POST", f"{A}/vouchers", {"amount": "1.00", "scene": "postpaid"}, 201),
    "discount": ("PUT", f"{A}/discounts/photo_v2", {"rate": "0.9", "from": SETTLED_LATER}, 200),
    "contract price": ("PUT", f"{A}/contract-prices/photo_v2", {"unit_price": "0.5", "from": SETTLED_LATER}, 200),
}


@pytest.fixture
def ready(cloud: Cloud) -> Cloud:
    """Give the product with a verified account, an expired voucher of it, and one that has applied for the service."""
    cloud.voucher("daily", "5.00", expires_at="2025-03-01T11:00:00+08:00")
    assert cloud.request("PATCH", A, {"enterprise_verified": True}).status == 200
    assert cloud.request("POST", "/v1/accounts", {"account_id": "new", "name": "Example"}).status == 201
    assert cloud.request("POST", f"{NEW}/service/application", {"purpose": "checks"}).status == 202
    cloud.go_to("2025-03-01 12:00")
    cloud.prepared()
    return cloud


def kept(cloud: Cloud, account_id: str) -> Snapshot:
    """The account with all its parts, of which none may be of another version."""
    items = {one["sk"]["S"]: one for one in cloud.world.items("ledger") if one["pk"]["S"] == keys.ledger(account_id)}
    account = account_from_item(items[keys.ACCOUNT])
    return snapshot_of(account, (item for key, item in items.items() if key.startswith("1#")))


def told(cloud: Cloud) -> Counter[str]:
    """How many grants, adjustments and vouchers there are, living and moved away."""
    sort_keys = [one["sk"]["S"] for one in cloud.world.items("ledger")]
    kinds = {"G#": "grants", "V#": "moved vouchers", keys.VOUCHER_PREFIX: "vouchers"}
    found = Counter(kind for key in sort_keys for prefix, kind in kinds.items() if key.startswith(prefix))
    found["adjustments"] = sum("#adjustment-" in key for key in sort_keys if key.startswith("B#"))
    return found


def write(cloud: Cloud, name: str) -> None:
    """One of the requests, again until it is answered."""
    method, path, body, success = WRITES[name]
    reply = cloud.request(method, path, body, headers={"Idempotency-Key": name})
    if reply.status == 503:
        raise TryAgain
    assert reply.status == success or (name == "approve" and reply.code == "no_application"), reply.text


EFFECTS: dict[str, dict[str, int]] = {
    "approve": {"grants": 1},
    "merchant": {"grants": 1},
    "compensation": {"adjustments": 1},
    "charge": {"adjustments": 1},
    "voucher": {"vouchers": 0, "moved vouchers": 1},
    "discount": {},
    "contract price": {},
}


@pytest.mark.parametrize("name", WRITES)
def test_each_change_happens_once(ready: Cloud, name: str) -> None:
    """Struck anywhere and sent again, a change has its effect once, with the parts that belong to it."""
    before = told(ready)
    versions = {account_id: account["version"] for account_id, account in ready.accounts().items()}

    def check() -> None:
        check_always(ready)
        now = {account_id: account["version"] for account_id, account in ready.accounts().items()}
        assert sum(now.values()) == sum(versions.values()) + 1
        after = told(ready)
        more = {kind: after[kind] - before[kind] for kind in EFFECTS[name]}
        assert more == EFFECTS[name]
        for account_id in now:
            for wallet in kept(ready, account_id).wallets.values():
                assert len(wallet.packages) == 1
        crashed = any(one.fault in {Fault.CRASH_AFTER, Fault.CRASH_BEFORE} for one in ready.world.trace)
        if len(ready.statuses) == 1 and not crashed:
            assert ready.statuses == [WRITES[name][3]]

    exhaust(ready.world, lambda: write(ready, name), check, kinds=ALL, recover=lambda: None)


@pytest.mark.parametrize(
    "one, other",
    [("discount", "contract price"), ("merchant", "charge"), ("voucher", "compensation"), ("discount", "voucher")],
)
def test_two_changes_at_once_both_happen(ready: Cloud, one: str, other: str) -> None:
    """In whatever order their calls take turns, both changes are there in the end."""
    before = told(ready)

    def check() -> None:
        check_always(ready)
        wanted = Counter({**dict.fromkeys(EFFECTS[one], 0), **dict.fromkeys(EFFECTS[other], 0)})
        for name in (one, other):
            wanted.update(EFFECTS[name])
        after = told(ready)
        assert {kind: after[kind] - before[kind] for kind in wanted} == dict(wanted)
        terms = kept(ready, "daily").terms
        assert len(terms.discounts) == ("discount" in {one, other})
        assert len(terms.contract_prices) == ("contract price" in {one, other})

    works = {name: (lambda name=name: write(ready, name)) for name in (one, other)}
    explore(ready.world, works, check, recover=lambda: None, limit=300)
