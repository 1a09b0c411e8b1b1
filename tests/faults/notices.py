"""Which notices of accounts and packages there must be, and when, by a model without `rating`.

It takes from the ledger how the balance moved and which packages there were, from `Diary` when violations stood, from
the tests when calls were made and when sweeps came to their end; and says what must have been told, once, and what not.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from unittest import mock

from aws_platform import keys
from tests.faults import prepaid
from tests.faults.commits import inflated
from tests.faults.harness.dynamodb import Change
from tests.faults.properties import SOLD, bills_of
from tests.faults.support import FUNDS, SHANGHAI, Cloud, Fact, Json, journal_pages

STOP_AFTER = timedelta(hours=24)
RELEASE_AFTER = timedelta(days=30)
REFUND_TAKES = timedelta(minutes=3)
LOW_PART = 5
"""Low is less than a fifth (D27)."""
BEFORE_THE_END = {7: timedelta(days=7), 1: timedelta(days=1)}
"""When it is told that a package ends, by the days that the notice names (D27)."""


class Told(NamedTuple):
    """A notice as it is kept."""

    version: int
    """Of the account that it came with."""
    told_at: datetime
    kind: str
    occurred_at: datetime
    data: Json


class Turn(NamedTuple):
    """A violation that was put, or lifted: by the clock of the request, which may have waited for others."""

    version: int
    when: datetime
    active: bool


@dataclass(frozen=True)
class Span:
    """What began with one version of an account, and ended with another, or is not over."""

    since: datetime
    began: int
    until: datetime | None = None
    ended: int | None = None

    def stands(self, version: int) -> bool:
        """Whether it has begun and is not over, once this version is written."""
        return self.began <= version and (self.ended is None or version < self.ended)

    def covers(self, version: int) -> bool:
        """Whether this version was written during it, its end included."""
        return self.began < version and (self.ended is None or version <= self.ended)


@dataclass(frozen=True)
class Debt(Span):
    """Arrears (D21)."""

    release_after: timedelta = RELEASE_AFTER

    @property
    def stops_at(self) -> datetime:
        """The first instant of the stop."""
        return self.since + STOP_AFTER

    @property
    def releases_at(self) -> datetime:
        """The instant of the release (D23)."""
        return self.stops_at + self.release_after

    @property
    def times(self) -> Json:
        """What its notices say of it."""
        names = ("since", "stops_at", "releases_at")
        return {name: getattr(self, name).isoformat() for name in names}


class Released(prepaid.Piece):
    """A package that a release ended: it keeps its place in the order of use, that of its own end (D9, D23)."""

    own_end: datetime

    @property
    def order_of_use(self) -> tuple[bool, datetime, datetime, str]:
        """As it was before."""
        return (not self.gift, self.own_end, self.delivered, self.package_id)


@dataclass
class Diary:
    """What nobody keeps: with which version of an account violations were put and lifted."""

    cloud: Cloud
    release_after: timedelta = RELEASE_AFTER
    _turns: dict[tuple[str, int], Turn | None] = field(default_factory=dict)
    """By account and version. What is written again after the world was restored takes the place of what was."""

    def see(self, changes: Sequence[Change]) -> None:
        """Look at a commit."""
        now, watch = self.cloud.world.clock.now, self.cloud.watch
        for change in changes:
            if change.after is None or change.after["sk"]["S"] != keys.ACCOUNT:
                continue
            account_id, after = _account_id(change.after), _body(change.after)
            before = _body(change.before) if change.before else {"violation": None}
            version = int(change.after["version"]["N"])
            self._turns[account_id, version] = _turn(version, before, after)
            for other in changes:
                sort_key = (other.after or {"sk": {"S": ""}})["sk"]["S"]
                if sort_key.startswith(keys.NOTICE_PREFIX):
                    stamp, _, number = sort_key.removeprefix(keys.NOTICE_PREFIX).partition("-")
                    watch.expect(stamp <= f"{now:%Y%m%d%H%M%S}", f"{sort_key} was told in the future")
                    watch.expect(int(number) == version, f"{sort_key} was told with version {version}")
                    last = max(
                        (one.told_at for one in told(self.cloud, account_id) if one.version < version), default=now
                    )
                    watch.expect(stamp >= f"{last:%Y%m%d%H%M%S}", f"{sort_key} comes before what was told at {last}")

    def violations(self, account_id: str, version: int) -> list[Span]:
        """The violation stops up to a version of the account (D22)."""
        found: list[Span] = []
        for number in range(1, version + 1):
            turn = self._turns.get((account_id, number))
            if turn is None:
                continue
            if turn.active:
                found.append(Span(turn.when, turn.version))
            else:
                found[-1] = Span(found[-1].since, found[-1].began, turn.when, turn.version)
        return found

    def debts(self, account_id: str, version: int) -> list[Debt]:
        """The times in arrears up to a version of the account, by the journal."""
        found: list[Debt] = []
        balance = Decimal(0)
        for page in self.pages(account_id, version):
            when, number, before = datetime.fromisoformat(page["occurred_at"]), page["version"], balance
            balance += moved(page)
            if before >= 0 > balance:
                found.append(Debt(when, number, release_after=self.release_after))
            elif before < 0 <= balance:
                found[-1] = Debt(found[-1].since, found[-1].began, when, number, self.release_after)
        return found

    def pages(self, account_id: str, version: int) -> list[Json]:
        """The journal up to a version of the account."""
        pages = journal_pages(self.cloud.world, keys.ledger(account_id))
        return [page for page in pages if page["version"] <= version]

    def balance(self, account_id: str, version: int) -> str:
        """The balance at a version of the account, as notices name it."""
        return f"{sum(map(moved, self.pages(account_id, version)), Decimal('0.00')):.2f}"

    def stops(self, account_id: str, version: int) -> list[prepaid.Stop]:
        """All stops as they stand at a version of the account (D22)."""
        debts = self.debts(account_id, version)
        arrears = [(debt.stops_at, debt.until) for debt in debts if debt.until is None or debt.stops_at < debt.until]
        return [*arrears, *((one.since, one.until) for one in self.violations(account_id, version))]

    def releases(self, account_id: str, version: int) -> list[datetime]:
        """All releases, also one that comes if nobody pays, as they stand at a version of the account (D23)."""
        debts = self.debts(account_id, version)
        return [debt.releases_at for debt in debts if debt.until is None or debt.releases_at <= debt.until]

    def pieces(self, account_id: str, version: int) -> list[prepaid.Piece]:
        """All packages that the account has at a version, with their ends by release."""
        releases = sorted(self.releases(account_id, version))
        pieces = [one for one in _pieces_of(self.cloud, account_id) if one.bought <= version]
        return [_released(one, releases) for one in pieces if one.taken is None or version < one.taken]


@contextmanager
def diary_of(cloud: Cloud) -> Iterator[Diary]:
    """Keep a diary; meanwhile the model of packages knows of violations and releases too."""
    diary = Diary(cloud)
    database = cloud.world.dynamodb
    commit = database._commit

    def seen(changes: Iterable[Change]) -> None:
        listed = list(changes)
        commit(listed)
        diary.see(listed)

    def stops_of(_: Cloud, account_id: str) -> list[prepaid.Stop]:
        return diary.stops(account_id, _version(cloud, account_id))

    def pieces_of(_: Cloud, account_id: str) -> list[prepaid.Piece]:
        releases = sorted(diary.releases(account_id, _version(cloud, account_id)))
        return [_released(one, releases) for one in _pieces_of(cloud, account_id)]

    with (
        mock.patch.object(database, "_commit", seen),
        mock.patch.object(prepaid, "stops_of", stops_of),
        mock.patch.object(prepaid, "pieces_of", pieces_of),
    ):
        yield diary


_pieces_of = prepaid.pieces_of


def _released(piece: prepaid.Piece, releases: Sequence[datetime]) -> prepaid.Piece:
    ends = [release for release in releases if piece.delivered <= release < piece.until]
    if not ends:
        return piece
    released = Released(*piece._replace(until=ends[0]))
    released.own_end = piece.until
    return released


def moved(page: Json) -> Decimal:
    """What a page of the journal did to the balance."""
    return sum((Decimal(amount) for fund, amount, _ in page["entries"] if fund in FUNDS), Decimal(0))


def told(cloud: Cloud, account_id: str, *kinds: str) -> list[Told]:
    """The notices of an account that came with one of its versions, of some kinds or all."""
    partition = cloud.world.dynamodb.table("ledger").partitions.get(keys.ledger(account_id).encode(), {})
    found: list[Told] = []
    for item in partition.values():
        stamp, _, version = item["sk"]["S"].removeprefix(keys.NOTICE_PREFIX).partition("-")
        if not item["sk"]["S"].startswith(keys.NOTICE_PREFIX) or not version.isdecimal():
            continue
        when = datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=SHANGHAI)
        for kind, occurred_at, data in inflated(item["page"]):
            found.append(Told(int(version), when, kind, datetime.fromisoformat(occurred_at), data))
    return sorted((one for one in found if not kinds or one.kind in kinds), key=lambda one: one.version)


# --- accounts --------------------------------------------------------------------------------------------------


def check_account(diary: Diary, account_id: str, swept: datetime) -> None:
    """What was told of arrears, stops, releases and refunds is what happened, each once; the account says the same.

    ``swept``: when the last sweep came to its end.
    """
    notices = told(diary.cloud, account_id, "arrears", "stopped", "resumed", "released")
    right: list[tuple[int, str, datetime, Json]] = []
    version = _version(diary.cloud, account_id)
    debts, violations = diary.debts(account_id, version), diary.violations(account_id, version)
    for debt in debts:
        balance = diary.balance(account_id, debt.began)
        right.append((debt.began, "arrears", debt.since, {"balance": balance, **debt.times}))
        right += _edge(diary, account_id, debt, notices, "stopped", swept)
        right += _edge(diary, account_id, debt, notices, "released", swept)
    for one in violations:
        since = one.since.isoformat()
        data = {"cause": "violation", "since": since, "stops_at": since, "releases_at": None}
        right.append((one.began, "stopped", one.since, {**data, "balance": diary.balance(account_id, one.began)}))
    right += _resumed(diary, account_id, debts, violations)
    said = [(one.version, one.kind, one.occurred_at, one.data) for one in notices]
    missing, wrong = ([one for one in some if one not in others] for some, others in ((right, said), (said, right)))
    assert not missing, f"{account_id}: not told: {missing}, told: {said}"
    assert not wrong, f"{account_id}: told wrongly: {wrong}, right: {right}"
    assert len(said) == len(right), f"{account_id}: told more than once: {said}"
    assert all(one.told_at >= one.occurred_at for one in notices), f"{account_id}: told too early: {notices}"
    _check_states(diary, account_id, debts, violations)
    _check_refunds(diary.cloud, account_id)


def _edge(
    diary: Diary, account_id: str, debt: Debt, notices: Sequence[Told], kind: str, swept: datetime
) -> list[tuple[int, str, datetime, Json]]:
    """The notice of the stop or the release: by the sweep, or at the latest by the payment, be it at that instant."""
    at = debt.stops_at if kind == "stopped" else debt.releases_at
    cause = {"cause": "arrears"} if kind == "stopped" else {}
    mine = [
        one for one in notices if one.kind == kind and debt.covers(one.version) and cause.items() <= one.data.items()
    ]
    must, may = at <= (debt.until or swept), debt.until is None or at <= debt.until
    assert must <= len(mine) <= may, f"{account_id}: {kind} was told {len(mine)} times, of {debt}"
    return [
        (one.version, kind, at, {**cause, **debt.times, "balance": diary.balance(account_id, one.version - 1)})
        for one in mine
    ]


def _resumed(
    diary: Diary, account_id: str, debts: Sequence[Debt], violations: Sequence[Span]
) -> Iterator[tuple[int, str, datetime, Json]]:
    """Service is resumed where nothing stops it any more."""
    for ends in [*debts, *violations]:
        if ends.ended is None or ends.until is None:
            continue
        version, when = ends.ended, ends.until
        violated = any(one.stands(version - 1) for one in violations)
        stopped = violated or any(debt.stands(version - 1) and debt.stops_at <= when for debt in debts)
        still = any(one.stands(version) for one in violations) or any(
            debt.stands(version) and debt.stops_at <= when for debt in debts
        )
        if stopped and not still:
            data = {"cause": "violation" if violated else "arrears", "resumed_at": when.isoformat()}
            yield version, "resumed", when, {**data, "balance": diary.balance(account_id, version)}


def _check_states(diary: Diary, account_id: str, debts: Sequence[Debt], violations: Sequence[Span]) -> None:
    """The account has exactly these stops and releases, and its status follows from them."""
    cloud, now = diary.cloud, diary.cloud.world.clock.now
    body = cloud.accounts()[account_id]
    over = [(one.since, one.until) for one in violations if one.until]
    over += [(debt.stops_at, debt.until) for debt in debts if debt.until and debt.stops_at < debt.until]
    kept = [tuple(map(datetime.fromisoformat, stop)) for stop in body["stops"]]
    assert sorted(kept) == sorted(over), f"{account_id}: stops {kept}, the model {over}"
    releases = [debt.releases_at for debt in debts if debt.until and debt.releases_at <= debt.until]
    assert list(map(datetime.fromisoformat, body["releases"])) == releases, f"{account_id}: {body}, model {releases}"
    assert (body["violation"] is None) == all(one.until for one in violations), body
    open_debts = [debt for debt in debts if debt.until is None]
    assert [debt.since.isoformat() for debt in open_debts] == ([body["arrears"]["since"]] if body["arrears"] else [])
    status = "active"
    if any(one.until is None for one in violations) or any(debt.stops_at <= now for debt in open_debts):
        status = "stopped"
    if any(debt.releases_at <= now for debt in open_debts):
        status = "released"
    shown = cloud.request("GET", f"/v1/accounts/{account_id}").body["status"]
    assert shown == status, f"{account_id} is {shown}, the model says {status}"


def _check_refunds(cloud: Cloud, account_id: str) -> None:
    """Each refund that is completed was told, once, with its money; no other was."""
    notices = told(cloud, account_id, "refund_completed")
    refunds = prepaid.texts(cloud, account_id, keys.REFUND_PREFIX)
    done = {refund_id: refund for refund_id, refund in refunds.items() if refund["completed_at"]}
    assert Counter(one.data["refund_id"] for one in notices) == dict.fromkeys(done, 1), f"{account_id}: {notices}"
    for one in notices:
        refund = done[one.data["refund_id"]]
        back = {fund: Decimal(amount) for fund, amount in one.data["refunds"].items() if Decimal(amount)}
        assert back == {fund: Decimal(amount) for fund, amount in refund["refunds"].items()}, one
        assert Decimal(one.data["amount"]) == sum(back.values()), one
        assert one.told_at == one.occurred_at == datetime.fromisoformat(refund["completed_at"]), one
        assert one.told_at >= datetime.fromisoformat(refund["requested_at"]) + REFUND_TAKES, one
        pages = journal_pages(cloud.world, keys.ledger(account_id))
        paid = [page["version"] for page in pages if page["reference"] == one.data["refund_id"]]
        assert paid == ([one.version] if back else []), f"{one}: paid with {paid}"


# --- packages --------------------------------------------------------------------------------------------------


def calls_of(facts: Iterable[Fact], account_id: str) -> prepaid.Calls:
    """The chargeable calls of an account, in the order of time."""
    charged = [one for one in facts if one.account == account_id and one.code in SOLD[one.interface].charged]
    return sorted((one.instant, SOLD[one.interface].tag) for one in charged)


@dataclass(frozen=True)
class Edges:
    """What is told of one account's packages, beside what must be.

    ``calls``: all that were ever stored, in the order of time. ``looks``: when sweeps came to their end. Everything
    that was stored has gone through the stream, or is settled.
    """

    diary: Diary
    account_id: str
    calls: prepaid.Calls
    looks: Sequence[datetime]

    def check(self) -> None:
        """Each edge that was crossed is told once, with what was true then; none that was not."""
        version, now = _version(self.diary.cloud, self.account_id), self.diary.cloud.world.clock.now
        left = self.left(version, now)
        by_package: dict[str, list[Told]] = defaultdict(list)
        for one in told(self.diary.cloud, self.account_id):
            if one.kind.startswith("package_"):
                by_package[one.data["package_id"]].append(one)
        releases = sorted(self.diary.releases(self.account_id, version))
        pieces = {one.package_id: _released(one, releases) for one in _pieces_of(self.diary.cloud, self.account_id)}
        assert by_package.keys() <= pieces.keys(), f"{self.account_id}: told of {by_package.keys()}"
        for package_id, piece in pieces.items():
            mine = by_package[package_id]
            counted = Counter((one.kind, one.data.get("days")) for one in mine)
            assert counted["package_delivered", None] == (not piece.gift), f"{piece}: {mine}"
            assert set(counted.values()) <= {1}, f"{piece}: told more than once: {mine}"
            for one in mine:
                self._check_true(piece, one)
            if piece.taken is None:
                kinds = set(counted)
                missing = set(self._crossed(piece, left[package_id], now, kinds)) - kinds
                assert not missing, f"{self.account_id}: {missing} of {piece} with {left[package_id]} left, told {mine}"

    def _crossed(
        self, piece: prepaid.Piece, left: int, now: datetime, kinds: set[tuple[str, int | None]]
    ) -> Iterator[tuple[str, int | None]]:
        """What must have been told in the end of a package that has so much left."""
        exhausted = ("package_exhausted", None)
        if now < piece.until:
            if left * LOW_PART < piece.calls:
                yield "package_low", None
            if not left:
                yield exhausted
        # What was used up at the moment has nothing to lose by its end, even where a gift came to its help later.
        if not left or exhausted in kinds:
            return
        for days, before in BEFORE_THE_END.items():
            at = _ends(piece) - before
            if any(at <= look < piece.until for look in self.looks):
                yield "package_expiring", days
        if not isinstance(piece, Released) and any(piece.until <= look for look in self.looks):
            yield "package_expired", None

    def _check_true(self, piece: prepaid.Piece, one: Told) -> None:
        """What a notice says was so when it was told, as far as usage that came later leaves that to be seen."""
        ends = _ends(piece)
        facts = {"package_id": piece.package_id, "tag": piece.tag, "total": piece.calls, "expires_at": ends.isoformat()}
        assert facts.items() <= one.data.items(), f"{piece}: {one}"
        if one.kind == "package_delivered":
            assert (one.version, one.occurred_at) == (piece.bought, piece.delivered), f"{piece}: {one}"
            assert one.data["remaining"] == piece.calls, f"{piece}: {one}"
            return
        remaining = one.data["remaining"]
        assert one.version > piece.bought, f"{piece}: {one}"
        assert piece.taken is None or one.version < piece.taken, f"{piece}: {one}"
        # More usage never leaves more of any package: this is with all that ever came.
        least = self.left(one.version, one.told_at)[piece.package_id]
        assert least <= remaining <= piece.calls, f"{piece}: {one}, the model has {least}"
        if isinstance(piece, Released):
            assert one.told_at < piece.until, f"{piece}: told after its release: {one}"
        if one.kind in {"package_low", "package_exhausted"}:
            assert one.occurred_at == one.told_at, f"{piece}: {one}"
            limit = 1 if one.kind == "package_exhausted" else piece.calls
            assert remaining * LOW_PART < limit, f"{piece}: {one}"
            return
        days = one.data.get("days")
        own_end = ends + timedelta(seconds=1)
        at = own_end if days is None else ends - BEFORE_THE_END[days]
        assert (one.kind == "package_expired") == (days is None), f"{piece}: {one}"
        assert one.occurred_at == at <= one.told_at, f"{piece}: {one}"
        assert days is None or one.told_at < own_end, f"{piece}: {one}"
        assert remaining > 0, f"{piece}: {one}"

    def left(self, version: int, now: datetime) -> dict[str, int]:
        """What each package has left with all calls, by what the account and its bills were at a version."""
        cloud, account_id = self.diary.cloud, self.account_id
        pieces = sorted(self.diary.pieces(account_id, version), key=lambda one: one.order_of_use)
        left = {one.package_id: one.calls for one in pieces}
        billed: Counter[tuple[datetime, datetime, str]] = Counter()
        for bill in bills_of(cloud, account_id):
            if bill.transaction_type not in prepaid.POSTPAY or prepaid.version_of(bill.bill_id) > version:
                continue
            for segment in bill.counted:
                for tag, number in segment.calls.items():
                    billed[segment.start, segment.end, tag] += number
                for one in segment.deductions:
                    if one.package_id in left:
                        left[one.package_id] -= one.calls
        there = [one for one in pieces if one.delivered <= now]
        stops = self.diary.stops(account_id, version)
        walk = prepaid.Walk(cloud.accounts()[account_id], pieces, (), stops)
        walk.left.update(left)
        for instant, tag in _unbilled(self.calls, billed):
            piece = None if walk.stopped_at(instant) else walk.next(there, tag, instant)
            if piece is not None:
                walk.left[piece.package_id] -= 1
        return walk.left


def _unbilled(calls: prepaid.Calls, billed: Counter[tuple[datetime, datetime, str]]) -> Iterator[tuple[datetime, str]]:
    """The calls that no bill holds: of a stretch, in which calls are alike, the last ones."""
    for instant, tag in calls:
        place = next(((start, end, of) for start, end, of in billed if of == tag and start <= instant < end), None)
        if place is not None and billed[place]:
            billed[place] -= 1
        else:
            yield instant, tag


def _ends(piece: prepaid.Piece) -> datetime:
    """The last second of a package, whatever a release did to it."""
    until = piece.own_end if isinstance(piece, Released) else piece.until
    return until - timedelta(seconds=1)


def _version(cloud: Cloud, account_id: str) -> int:
    return int(cloud.accounts()[account_id]["version"])


def _turn(version: int, before: Json, after: Json) -> Turn | None:
    """What a change of an account did to its violation stop."""
    if bool(before["violation"]) == bool(after["violation"]):
        return None
    when = after["violation"]["since"] if after["violation"] else after["stops"][-1][1]
    return Turn(version, datetime.fromisoformat(when), bool(after["violation"]))


def _account_id(item: Json) -> str:
    return str(item["pk"]["S"]).removeprefix(keys.ledger(""))


def _body(item: Json) -> Any:
    return json.loads(item["body"]["S"])
