"""Reads the product through its API into the view that the model gives too, and compares the two."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from tests.simulation.view import (
    FIELDS,
    NOTICES,
    DetailView,
    EntitlementView,
    EntryView,
    OrderView,
    PackageView,
    RefundView,
    ResourceView,
    RowKey,
    UsageView,
    View,
    journal_of,
)

FREE = ("first opening", "first merchant id")
"""Why packages were given that go by their tag in a view."""
SHOWN_DAYS = 40
FUNDS = ("cash", "income_transfer", "gift", "voucher")
GLANCES = ("packages", "vouchers", "entitlements", "notices")
"""What time alone may change, beside the account itself."""
GLANCES_TO_ONE_MORE = 3
"""Every glance is at the account, and one of so many at something else, too."""
LOOKED_AT = ("account", "journal")
"""What is in every look; of each of the others one."""
LIVE = ("packages", "usage", "packages", "usage", "entitlements", "sub_usage")
KEPT = ("vouchers", "details", "resources", "details", "resources", "orders", "refunds", "notices")
SOME_TAGS = 3
CLOSING_DAYS = 3
"""In these first days of a month the one before is still read each day: it is closed in them."""
_ZERO = Decimal(0)

type Json = dict[str, Any]
type Ask = Callable[[str, Json], Json]
"""Reads a path with a query."""


@dataclass
class Reader:
    """Reads one account; what `expected` names where the API must be told what to show."""

    ask: Ask
    account: str
    now: datetime
    expected: View
    whole: bool
    """Whether the whole past is read, not only the month."""
    every: bool = False
    """Whether the month before is read too."""

    @cached_property
    def packages(self) -> list[Json]:
        """All packages."""
        return self._items("packages")

    @cached_property
    def names(self) -> dict[str, str]:
        """How packages are called in a view."""
        return {
            one["package_id"]: f"free:{one['tag']}" if one["reason"] in FREE else one["package_id"]
            for one in self.packages
        }

    def read(self, names: Iterable[str]) -> Json:
        """Some fields of a view, by name."""
        return {name: getattr(self, f"_{name}")() for name in names}

    def months(self) -> list[str]:
        """The months that are read: this one, and perhaps the one before, or all."""
        first = self.now.date().replace(day=1)
        if not self.whole:
            before = self.now.day <= CLOSING_DAYS or self.every
            return [f"{first:%Y-%m}", *([f"{first - timedelta(days=1):%Y-%m}"] if before else [])]
        found = {key[2][:7] for key in self.expected.details} | {
            key[1] for key in self.expected.details if key[0] == "precision_difference"
        }
        return sorted((found | {f"{first:%Y-%m}"}) - {""})

    def _items(self, path: str, **query: str) -> list[Json]:
        """A list, of all its pages."""
        found: list[Json] = []
        cursor: Json = {}
        while True:
            body = self.ask(f"/v1/accounts/{self.account}/{path}", {**query, **cursor, "limit": "1000"})
            found += body["items"]
            if body["next_cursor"] is None:
                return found
            cursor = {"cursor": body["next_cursor"]}

    # the fields of a view

    def _account(self) -> Json:
        shown = self.ask(f"/v1/accounts/{self.account}", {})
        arrears = shown["arrears"]
        same = ("status", "settlement_cycle", "opened_at", "postpaid_enabled", "enterprise_verified")
        return {
            **{name: shown[name] for name in same},
            "violation": shown["violation"] is not None,
            "arrears": arrears and tuple(arrears[name] for name in ("since", "stops_at", "releases_at")),
            **shown["balance"],
        }

    def _packages(self) -> dict[str, PackageView]:
        return {
            self.names[one["package_id"]]: PackageView(*(one[name] for name in PackageView._fields))
            for one in self.packages
        }

    def _vouchers(self) -> dict[str, tuple[str, str]]:
        return {one["voucher_id"]: (one["remaining"], one["status"]) for one in self._items("vouchers")}

    def _journal(self) -> tuple[EntryView, ...]:
        query = {} if self.whole else {"from": f"{self.now:%Y-%m}-01"}
        entries = self._items("journal", **query)
        return journal_of(EntryView(*(one[name] for name in EntryView._fields)) for one in entries)

    def _rows(self, kind: str) -> Iterator[Json]:
        for month in self.months():
            yield from self._items(f"bills/{kind}", month=month, basis="charge")

    def _key(self, row: Json) -> RowKey:
        kind = row["transaction_type"]
        if kind == "adjustment":
            return kind, row["bill_id"], row["charged_at"]
        if kind == "precision_difference":
            return kind, row["usage_start"][:7], ""
        if kind in {"prepay_purchase", "prepay_refund"}:
            return kind, row["resource_id"].removeprefix("faceid-"), row["charged_at"]
        return row["usage_start"][: 7 if kind == "postpay_monthly" else 10], row["tag"], row["charged_at"]

    def _details(self) -> dict[RowKey, DetailView]:
        quantities: dict[RowKey, Counter[str]] = defaultdict(Counter)
        costs: dict[RowKey, Decimal] = defaultdict(Decimal)
        for row in self._rows("details"):
            key = self._key(row)
            quantities[key].update({name: row[f"{name}quantity"] for name in ("raw_", "deducted_", "", "uncovered_")})
            costs[key] += Decimal(row["total_cost"])
        return {
            key: DetailView(one["raw_"], one["deducted_"], one[""], one["uncovered_"], f"{costs[key]:.8f}")
            for key, one in quantities.items()
        }

    def _resources(self) -> dict[RowKey, ResourceView]:
        sums: dict[RowKey, list[Decimal]] = defaultdict(lambda: [_ZERO] * 5)
        for row in self._rows("resources"):
            amounts = (Decimal(row[name]) for name in ResourceView._fields)
            key = self._key(row)
            sums[key] = [before + amount for before, amount in zip(sums[key], amounts, strict=True)]
        return {key: ResourceView(*(f"{one:.2f}" for one in found)) for key, found in sums.items()}

    def _calls(self, by: str) -> list[Json]:
        today = self.now.date()
        query = {"from": (today - timedelta(days=SHOWN_DAYS - 1)).isoformat(), "to": today.isoformat(), "by": by}
        return self._items("usage", **query)

    def _usage(self) -> dict[tuple[str, str], UsageView]:
        rows = self._calls("day,tag")
        return {(row["day"], row["tag"]): UsageView(*(row[name] for name in UsageView._fields)) for row in rows}

    def _sub_usage(self) -> dict[tuple[str, str, str], tuple[int, int]]:
        return {
            (row["day"], row["tag"], row["sub_account"] or ""): (row["calls"], row["not_chargeable"])
            for row in self._calls("day,tag,sub_account")
        }

    def tags(self) -> list[str]:
        """Some of the tags, or all where everything is read."""
        tags = list(self.expected.entitlements)
        first = zlib.crc32(str(self.now).encode()) % max(1, len(tags))
        return tags if self.whole else [*tags, *tags][first : first + min(SOME_TAGS, len(tags))]

    def _entitlements(self) -> dict[str, EntitlementView]:
        found = {}
        for tag in self.tags():
            shown = self.ask(f"/v1/accounts/{self.account}/entitlements/{tag}", {})
            found[tag] = EntitlementView(*(shown[name] for name in EntitlementView._fields))
        return found

    def _orders(self) -> dict[str, OrderView]:
        found = {}
        for one in self._items("orders"):
            voucher, gift, income, cash = (one["payment"][fund] for fund in ("voucher", *reversed(FUNDS[:3])))
            found[one["order_id"]] = OrderView(one["kind"], one["status"], one["amount"], (voucher, gift, income, cash))
        return found

    def _refunds(self) -> dict[str, RefundView]:
        found = {}
        for one in self._items("refunds"):
            cash, income, gift = (one["refunds"][fund] for fund in FUNDS[:3])
            found[one["refund_id"]] = RefundView(
                one["package_id"],
                one["status"],
                one["amount"],
                (cash, income, gift),
                one["voucher_forfeited"],
                one["requested_at"],
                one["completed_at"],
            )
        return found

    def _notices(self) -> tuple[tuple[str, str, tuple[tuple[str, Any], ...]], ...]:
        found = []
        for one in self._items("notices"):
            if one["kind"] in NOTICES:
                data = {**one["data"], "package": self.names.get(one["data"].get("package_id"))}
                told = tuple(sorted((name, data.get(name)) for name in NOTICES[one["kind"]]))
                found.append((one["kind"], one["occurred_at"], told))
        return tuple(sorted(found))


def look(ask: Ask, account: str, now: datetime, expected: View, *, whole: bool, every: bool = False) -> list[str]:
    """Where what the product shows of an account differs from what the model expects.

    ``whole``: everything of the whole past, else what changes most, and of the rest what is in turn; ``every``: all of
    it, of the last two months.
    """
    reader = Reader(ask, account, now, expected, whole, every)
    names: Sequence[str] = FIELDS
    if not whole and not every:
        turn = _turn(account, now)
        names = [*LOOKED_AT, LIVE[turn % len(LIVE)], KEPT[turn // len(LIVE) % len(KEPT)]]
    return _compare(reader, names)


def glance(ask: Ask, account: str, now: datetime, expected: View) -> list[str]:
    """Where what time alone may have changed of an account differs: the account, and of the rest what is in turn."""
    turn, also = divmod(_turn(account, now), GLANCES_TO_ONE_MORE)
    more = [GLANCES[turn % len(GLANCES)]] if not also else []
    return _compare(Reader(ask, account, now, expected, whole=False), ["account", *more])


def _turn(account: str, now: datetime) -> int:
    return zlib.crc32(f"{account}{now}".encode())


def _compare(reader: Reader, names: Sequence[str]) -> list[str]:
    """Where some fields differ; where the whole past is read, also what does not add up in what is shown."""
    account, expected = reader.account, reader.expected
    shown = reader.read(names)
    wanted = {name: _cut(name, getattr(expected, name), reader) for name in names}
    found = [f"{account} {what}" for name in names for what in _differences(name, wanted[name], shown[name])]
    return found + ([f"{account} {what}" for what in _unbalanced(shown, reader.now)] if reader.whole else [])


def _cut(name: str, expected: Any, reader: Reader) -> Any:
    """What of a field is read at all."""
    months = set(reader.months())
    if name == "journal" and not reader.whole:
        first = f"{reader.now:%Y-%m}-01"
        return tuple(one for one in expected if one.occurred_at >= first)
    if name == "entitlements":
        return {tag: expected[tag] for tag in reader.tags()}
    if name in {"details", "resources"}:
        return {key: row for key, row in expected.items() if (key[2][:7] or key[1]) in months}
    return expected


def _differences(name: str, expected: Any, shown: Any) -> Iterator[str]:
    """Where two values of a field differ, part by part."""
    if expected == shown:
        return
    if isinstance(expected, Mapping):
        for key in sorted({*expected, *shown}, key=str):
            if expected.get(key) != shown.get(key):
                yield f"{name} {key}: shown {shown.get(key)}, expected {expected.get(key)}"
        return
    missing, surplus = [one for one in expected if one not in shown], [one for one in shown if one not in expected]
    if missing or surplus:
        yield f"{name}: not shown {missing[:4]}, not expected {surplus[:4]}"
    else:
        yield f"{name}: shown in another order or number: {shown}, expected {expected}"


# --- what needs no model ----------------------------------------------------------------------------------------------


def _unbalanced(shown: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Where journal and funds, or details, resources and journal of a month, do not agree (D15)."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    taken: dict[str, Decimal] = defaultdict(Decimal)
    for one in shown["journal"]:
        sums[one.fund] += Decimal(one.amount)
        if one.kind != "top_up":
            taken[one.occurred_at[:7]] -= Decimal(one.amount)
    for fund in FUNDS[:3]:
        if sums[fund] != Decimal(shown["account"][fund]):
            yield f"the journal comes to {sums[fund]} of {fund}, the fund has {shown['account'][fund]}"
    deducted, details = _by_month(shown["resources"]), _by_month(shown["details"])
    closed = {key[1] for key in shown["details"] if key[0] == "precision_difference"}
    for month in sorted({*taken, *deducted, *details}):
        if deducted[month] != taken[month]:
            yield f"{month}: resources come to {deducted[month]}, the journal to {taken[month]}"
        if month in closed and details[month] != deducted[month]:
            yield f"{month}: details with their row come to {details[month]}, resources to {deducted[month]}"
    if f"{now:%Y-%m}" in closed:
        yield f"{now:%Y-%m} is closed while it goes on"


def _by_month(rows: Mapping[RowKey, DetailView | ResourceView]) -> Mapping[str, Decimal]:
    """What rows cost by the month of the charge, or the one that a row closes."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for key, row in rows.items():
        sums[key[2][:7] or key[1]] += Decimal(row.total_cost)
    return sums


def is_quiet(expected: View, now: datetime) -> bool:
    """Whether nothing has happened to an account for long."""
    since = (now - timedelta(days=SHOWN_DAYS)).isoformat()
    return not expected.usage and all(one.occurred_at < since for one in expected.journal[-1:])


def used_days(expected: View) -> list[date]:
    """The days with usage that a view knows."""
    return sorted({date.fromisoformat(day) for day, _ in expected.usage})
