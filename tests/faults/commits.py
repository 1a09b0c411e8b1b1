"""What must hold at each commit, by arithmetic on the stored texts: packages, vouchers, orders, refunds, notices."""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from aws_platform import keys
from tests.faults.harness.dynamodb import Change

type Json = dict[str, Any]
type Pair = tuple[Json, Json]
"""An item before and after; empty where there was or is none."""
type Edge = tuple[str, int | None]
"""A kind of notice about a package, and how many days before the end it is."""

TOTAL, USED = 2, 3
TOLD = -1
"""Of a package in a wallet's text."""
WEBHOOKS_LOCK = "W#lock"
"""What every new webhook replaces."""
EDGES: dict[Edge, int] = {("package_expiring", 7): 2, ("package_expiring", 1): 4, ("package_expired", None): 8}
"""Bits of what was told of a package, and the notices that come only with them."""
USE_EDGES: dict[Edge, int] = {("package_low", None): 16, ("package_exhausted", None): 32}
"""The same of notices that always come with them."""
CHANGED_PARTS = (keys.WALLET_PREFIX, keys.TERMS, keys.VOUCHER_PREFIX)
MAY_CHANGE = (
    *CHANGED_PARTS,
    keys.MONTH_PREFIX,
    keys.ORDER_PREFIX,
    keys.GRANT_PREFIX,
    keys.REFUND_PREFIX,
    keys.DELIVERY_PREFIX,
    keys.LOOK_PREFIX,
    keys.QUOTA_PREFIX,
    keys.EXPORT_PREFIX,
    keys.SUBSCRIPTIONS,
    WEBHOOKS_LOCK,
)
"""Everything else of an account, but the account itself, is written once: also its pages of notices."""
_NEW_ACCOUNT: Json = {"arrears": None, "warned_on": None}


def wrong(commit: Sequence[Change]) -> Iterator[str]:
    """What a commit does to any account that it must not do."""
    accounts: dict[str, dict[str, Pair]] = {}
    for change in commit:
        before, after = change.before or {}, change.after or {}
        item = after or before
        if change.table.name == "ledger" and item["pk"]["S"].startswith(keys.ledger("")):
            accounts.setdefault(item["pk"]["S"], {})[item["sk"]["S"]] = before, after
    for partition, pairs in accounts.items():
        yield from (f"{partition}: {what}" for what in _Commit(pairs).wrong())


@dataclass(frozen=True)
class _Commit:
    """What one transaction does to one account, by sort key."""

    pairs: Mapping[str, Pair]

    def wrong(self) -> Iterator[str]:
        """Everything that is not as it must be."""
        yield from self._parts()
        yield from self._wallets()
        yield from self._vouchers()
        yield from self._orders()
        yield from self._refunds()
        yield from self._edges()
        yield from self._account()
        yield from self._webhooks()

    # what else the commit has

    def _of(self, *prefixes: str) -> Iterator[tuple[str, Pair]]:
        return ((sort_key, pair) for sort_key, pair in self.pairs.items() if sort_key.startswith(prefixes))

    def _new(self, *prefixes: str) -> Iterator[tuple[str, Json]]:
        """Items that the commit brings: what their ids are, and what they say."""
        for sort_key, (before, after) in self._of(*prefixes):
            if not before:
                yield sort_key.partition("#")[2], _text(after)

    @cached_property
    def given(self) -> Counter[str]:
        """Calls that the commit's bills took from packages."""
        calls: Counter[str] = Counter()
        for _, bill in self._new("B#"):
            for _, _, _, deductions, _ in bill["counted"]:
                for package_id, _, _, number in deductions:
                    calls[package_id] += number
        return calls

    @cached_property
    def delivered(self) -> dict[str, int]:
        """Calls of the packages that the commit brings."""
        orders = self._new(keys.ORDER_PREFIX, keys.GRANT_PREFIX)
        return {package["id"]: package["calls"] for _, order in orders for package in order["packages"]}

    @cached_property
    def returned(self) -> dict[str, str]:
        """Refund ids by package, of the refunds that the commit begins."""
        return {refund["package"]: refund_id for refund_id, refund in self._new(keys.REFUND_PREFIX)}

    @cached_property
    def movements(self) -> dict[str, list[list[str]]]:
        """Journal entries by reference."""
        return {page["reference"]: page["entries"] for _, page in self._new("J#")}

    @cached_property
    def notices(self) -> list[tuple[str, Json]]:
        """Kinds and facts of the notices that the commit tells."""
        pages = [after for _, (before, after) in self._of(keys.NOTICE_PREFIX) if not before]
        return [(kind, data) for page in pages for kind, _, data in inflated(page["page"])]

    def _told(self, kind: str, **facts: object) -> int:
        """How many notices of a kind the commit tells, with these facts."""
        return sum(one == kind and facts.items() <= data.items() for one, data in self.notices)

    # what must hold

    def _parts(self) -> Iterator[str]:
        """The account is the lock of all its parts: it knows at which of its versions each last changed."""
        before, after = self.pairs.get(keys.ACCOUNT, ({}, {}))
        known = dict(_text(before)["parts"]) if before else {}
        for sort_key, (_, part) in self._of(*CHANGED_PARTS):
            if not after:
                yield f"{sort_key} changed without its account"
            elif part:
                known[sort_key] = int(part["version"]["N"])
                if part["version"] != after["version"]:
                    yield f"{sort_key} is not of its account's version"
            else:
                known.pop(sort_key, None)
        if after and _text(after)["parts"] != known:
            yield f"the account knows {_text(after)['parts']}, its parts are {known}"

    def _wallets(self) -> Iterator[str]:
        """A package goes as far down as the commit's bill takes from it, and comes and goes by order and refund."""
        seen = set()
        for sort_key, (before, after) in self._of(keys.WALLET_PREFIX):
            old, new = ({one[0]: one for one in _text(side)["packages"]} if side else {} for side in (before, after))
            for package_id in {*old, *new}:
                seen.add(package_id)
                what = self._package(package_id, old.get(package_id), new.get(package_id))
                if what:
                    yield f"{sort_key} {package_id}: {what}"
        for package_id in {*self.given, *self.delivered, *self.returned} - seen:
            yield f"{package_id} is in no wallet"

    def _package(self, package_id: str, old: list[Any] | None, new: list[Any] | None) -> str | None:
        if new is not None and not 0 <= new[USED] < new[TOTAL]:
            return f"{new[USED]} of {new[TOTAL]} are used"
        if old is None or new is None:
            return self._came_or_went(package_id, old, new)
        if [*old[:USED], *old[USED + 1 : TOLD]] != [*new[:USED], *new[USED + 1 : TOLD]]:
            return f"{old} became {new}"
        if old[TOLD] & ~new[TOLD]:
            return f"what was told went from {old[TOLD]} to {new[TOLD]}"
        if new[USED] - old[USED] != self.given[package_id]:
            return f"a bill took {self.given[package_id]}, used went from {old[USED]} to {new[USED]}"
        return "it was refunded and is still there" if package_id in self.returned else None

    def _came_or_went(self, package_id: str, old: list[Any] | None, new: list[Any] | None) -> str | None:
        if old is None:
            assert new is not None
            right = self.delivered.get(package_id) == new[TOTAL] and not new[USED]
            return None if right else f"{new} came from nowhere"
        if package_id in self.returned:
            return None if not old[USED] and not self.given[package_id] else "used, and refunded"
        used = old[USED] + self.given[package_id]
        _, ended = self.pairs.get(f"{keys.ENDED_PREFIX}{package_id}", ({}, {}))
        if ended:
            return None if int(ended["used"]["N"]) == used else f"left its wallet with {used} used, kept as {ended}"
        return None if used == old[TOTAL] else f"gone with {used} of {old[TOTAL]} used"

    def _vouchers(self) -> Iterator[str]:
        """A voucher has what it had less what the journal says that it paid."""
        paid = [entry for entries in self.movements.values() for entry in entries if entry[0] == "voucher"]
        if len(paid) > 1:
            yield f"two vouchers paid: {paid}"
        spent = {sort_key.rpartition("#")[2]: one for sort_key, (_, one) in self._of(keys.SPENT_VOUCHER_PREFIX)}
        unpaid = list(paid)
        for sort_key, (before, after) in self._of(keys.VOUCHER_PREFIX):
            voucher_id = sort_key.removeprefix(keys.VOUCHER_PREFIX)
            now = _text(after or spent.pop(voucher_id))
            if not before:
                if now["remaining"] != now["amount"]:
                    yield f"{voucher_id} was not issued whole: {now}"
                continue
            old = _text(before)
            if old == now and not after:
                continue  # put aside because it had expired
            _, amount, left = unpaid.pop() if unpaid else ("", "0", "0")
            rest = Decimal(old["remaining"]) + Decimal(amount)
            right = Decimal(0) if now["single_use"] else rest
            if not (Decimal(amount) < 0 <= rest and right == Decimal(now["remaining"]) == Decimal(left)):
                yield f"{voucher_id} had {old['remaining']}, paid {amount}, has {now['remaining']}, journal: {left}"
            if bool(after) != bool(right):
                yield f"{voucher_id} with {right} is in the wrong place"
        if unpaid or spent:
            yield f"no voucher paid {unpaid}, none became {spent}"

    def _orders(self) -> Iterator[str]:
        """An order comes with its bill, journal page and record, and changes only by refunds and blocks."""
        for sort_key, (before, after) in self._of(keys.ORDER_PREFIX, keys.GRANT_PREFIX):
            if before:
                yield from self._changed_order(sort_key, _text(before), _text(after))
            elif sort_key.startswith(keys.ORDER_PREFIX):
                order_id = sort_key.removeprefix(keys.ORDER_PREFIX)
                bills = [bill["id"] for _, bill in self._new("B#")]
                if bills != [order_id] or list(self.movements) != [order_id] or not list(self._of("I#")):
                    yield f"{order_id} came with bills {bills} and journal pages {list(self.movements)}"

    def _changed_order(self, sort_key: str, old: Json, new: Json) -> Iterator[str]:
        for before, after in zip(old.pop("packages"), new.pop("packages"), strict=True):
            refunds = before.pop("refund"), after.pop("refund")
            blocks = before.pop("blocked"), after.pop("blocked")
            if refunds != (None, self.returned.get(after["id"])) and refunds[0] != refunds[1]:
                yield f"{sort_key}: refund {refunds[0]} became {refunds[1]}"
            if before != after or (blocks[0] != blocks[1] and self.returned):
                yield f"{sort_key}: {before} became {after}"
        if old != new:
            yield f"{sort_key}: {old} became {new}"

    def _refunds(self) -> Iterator[str]:
        """A refund takes its package away and pays nothing; when it is completed it pays what it said, once."""
        for sort_key, (before, after) in self._of(keys.REFUND_PREFIX):
            refund_id, refund = sort_key.removeprefix(keys.REFUND_PREFIX), _text(after)
            if not before:
                if refund["completed_at"] or self.movements or "due_sk" not in after or not list(self._of("I#")):
                    yield f"{refund_id} began with {refund} and {self.movements}"
                continue
            paid = {fund: Decimal(amount) for fund, amount, _ in self.movements.get(refund_id, [])}
            bills = [bill["id"] for _, bill in self._new("B#")]
            right = {fund: Decimal(amount) for fund, amount in refund["refunds"].items()}
            if paid != right or bills != [refund_id] or list(self.movements) != [refund_id] * bool(right):
                yield f"{refund_id} paid {paid} for {right}, with bills {bills}"
            if not refund["completed_at"] or "due_sk" in after or _text(before) != {**refund, "completed_at": None}:
                yield f"{refund_id}: {_text(before)} became {refund}"
            if self._told("refund_completed", refund_id=refund_id) != 1:
                yield f"{refund_id} was completed, and told {self.notices}"

    def _edges(self) -> Iterator[str]:
        """What is told of a package is told with the bit that keeps it from being told again (D27)."""
        counted = Counter((data.get("package_id"), kind, data.get("days")) for kind, data in self.notices)
        for sort_key, (before, after) in self._of(keys.WALLET_PREFIX):
            old, new = ({one[0]: one for one in _text(side)["packages"]} if side else {} for side in (before, after))
            for package_id in {*old, *new}:
                had = old[package_id][TOLD] if package_id in old else 0
                for (kind, days), bit in (*EDGES.items(), *USE_EDGES.items()):
                    told = counted.pop((package_id, kind, days), 0)
                    gained = bool(package_id in new and new[package_id][TOLD] & bit and not had & bit)
                    gone_untold = package_id not in new and not had & bit
                    may, must = gained or gone_untold, gained and (kind, days) in USE_EDGES
                    if not must <= told <= may:
                        yield f"{sort_key} {package_id}: {kind} {days or ''} was told {told} times, {old} became {new}"
        for package_id in [one["id"] for _, order in self._new(keys.ORDER_PREFIX) for one in order["packages"]]:
            if counted.pop((package_id, "package_delivered", None), 0) != 1:
                yield f"{package_id} was bought, and told {self.notices}"
        for package_id, kind, _ in counted:
            if kind.startswith("package_"):
                yield f"{kind} of {package_id} was told, and nothing has happened to it"

    def _account(self) -> Iterator[str]:
        """Arrears are there while the balance is below zero, and what becomes of them is told once (D21 to D23)."""
        before, after = self.pairs.get(keys.ACCOUNT, ({}, {}))
        old = _text(before) if before else _NEW_ACCOUNT
        new = _text(after) if after else old
        if after and (sum(map(Decimal, new["funds"]), Decimal(0)) < 0) != bool(new["arrears"]):
            yield f"funds {new['funds']}, arrears {new['arrears']}"
        was, now = old["arrears"] or {}, new["arrears"] or {}
        if was and now and (was["since"], was["release_days"]) != (now["since"], now["release_days"]):
            yield f"arrears {was} became {now}"
        began, ended = bool(now and not was), bool(was and not now)
        yield from self._told_right("arrears", {}, must=began, may=began)
        for mark, kind, facts in (("stop_told", "stopped", {"cause": "arrears"}), ("release_told", "released", {})):
            untold = bool(was) and not was[mark]
            marked = untold and bool(now) and now[mark]
            yield from self._told_right(kind, facts, must=marked, may=marked or (untold and ended))
            if was and now and was[mark] > now[mark]:
                yield f"{mark} was taken back"
        warned = old["warned_on"] != new["warned_on"]
        yield from self._told_right("balance_low", {}, must=warned, may=warned)

    def _webhooks(self) -> Iterator[str]:
        """A webhook that is switched off tells so, once, and stays off."""
        for sort_key, (before, after) in self._of(keys.WEBHOOK_PREFIX):
            webhook_id = sort_key.removeprefix(keys.WEBHOOK_PREFIX)
            off = "disabled_at" in after and "disabled_at" not in before
            yield from self._told_right("webhook_disabled", {"webhook_id": webhook_id}, must=off, may=off)
            if after and "disabled_at" in before and before["disabled_at"] != after.get("disabled_at"):
                yield f"{sort_key} was switched off, and is so no more"

    def _told_right(self, kind: str, facts: Json, *, must: bool, may: bool) -> Iterator[str]:
        """A notice is told where it must be, only where it may be, and once."""
        told = self._told(kind, **facts)
        if not must <= told <= may:
            yield f"{kind} was told {told} times: {self.pairs.get(keys.ACCOUNT)}"


def _text(item: Json) -> Json:
    """What an item says."""
    if "bill" in item:
        bill: Json = inflated(item["bill"])
        return bill
    found: Json = json.loads(next(item[name]["S"] for name in ("page", "body") if name in item))
    return found


def inflated(value: Json) -> Any:
    """The JSON in a compressed attribute."""
    return json.loads(zlib.decompress(base64.b64decode(value["B"])))
