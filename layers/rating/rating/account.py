"""An account: its service, its dated switches and its money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from rating.allocation import Conditions
from rating.arrears import RELEASE_AFTER, Arrears
from rating.civil import SHANGHAI
from rating.funds import Funds
from rating.history import Interval, Switch
from rating.schedule import Cycle

DAILY_SINCE = datetime(2023, 1, 4, tzinfo=SHANGHAI)
"""Accounts opened before this instant settle monthly, the others daily (D2; guide, billing overview)."""


class Stage(StrEnum):
    """How far the opening of the service has come."""

    NOT_OPENED = "not_opened"
    UNDER_REVIEW = "under_review"
    OPENED = "opened"


class Status(StrEnum):
    """What an account is at an instant, as everybody sees it."""

    NOT_OPENED = "not_opened"
    UNDER_REVIEW = "under_review"
    ACTIVE = "active"
    STOPPED = "stopped"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to tell. Personal data: never in events, logs or errors."""

    email: str | None = None
    phone: str | None = None
    locale: str = "zh-CN"


@dataclass(frozen=True, slots=True)
class Application:
    """What a customer said when applying for the service."""

    purpose: str
    license_reference: str | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation stop that is in force (D22)."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Merchant:
    """An E证通 merchant id (D13)."""

    merchant_id: str
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """One main account; sub-accounts have nothing of their own (D2)."""

    account_id: str
    name: str
    created_at: datetime
    enterprise_verified: bool = False
    contact: Contact = field(default_factory=Contact)
    stage: Stage = Stage.NOT_OPENED
    application: Application | None = None
    rejection_reason: str | None = None
    """Why the last application was refused, until the next one."""
    opened_at: datetime | None = None
    moved_here: bool = False
    """Whether it was opened before its approval here: such a customer gets no free packages (D13)."""
    postpaid: Switch = field(default_factory=lambda: Switch(initial=True))
    violation: Violation | None = None
    stops: tuple[Interval, ...] = ()
    """Stops that are over, for arrears and violations."""
    releases: tuple[datetime, ...] = ()
    """Releases that were followed by a payment."""
    funds: Funds = field(default_factory=Funds)
    arrears: Arrears | None = None
    """While the balance is below zero (D21)."""
    warned_on: date | None = None
    """The last day on which it was told that the balance is low (D28)."""
    settled_through: date | None = None
    """The last usage day that a run has settled; None before the first."""
    last_bill: str | None = None
    """The bill that the last run issued: whoever goes on from this account must have seen it."""
    merchants: tuple[Merchant, ...] = ()
    """E证通 merchant ids that were granted; the first brought the free package (D13)."""
    parts: Mapping[str, int] = field(default_factory=dict)
    """What is kept beside the account (wallets, terms, vouchers), and at which version of the account each last
    changed. Who goes on from this account must have seen each of them as of that version."""
    last_order: tuple[str, int] | None = None
    """The order or grant that was written last, by sort key, and the version of the account that it was written with:
    whoever reads that order must see no older one."""
    moved_at: datetime | None = None
    """The last movement of money; the next one is not booked before it, whatever its machine's clock says."""
    version: int = 0
    """Grows by one with every change, so that nobody writes over a change that they did not see."""

    @property
    def cycle(self) -> Cycle | None:
        """The settlement cycle; None before the service is opened (D2)."""
        if self.opened_at is None:
            return None
        return Cycle.MONTHLY if self.opened_at < DAILY_SINCE else Cycle.DAILY

    def merchant(self, merchant_id: str) -> Merchant:
        """The merchant of this id. Raises LookupError where it was not granted."""
        for merchant in self.merchants:
            if merchant.merchant_id == merchant_id:
                return merchant
        msg = f"{self.account_id} has no such merchant"
        raise LookupError(msg)

    def status(self, now: datetime) -> Status:
        """The status at an instant: computed, so that a late timer changes nothing (D21)."""
        if self.stage is not Stage.OPENED:
            return Status(self.stage.value)
        if self.arrears is not None and now >= self.arrears.releases_at:
            return Status.RELEASED
        if self.violation is not None or (self.arrears is not None and now >= self.arrears.stops_at):
            return Status.STOPPED
        return Status.ACTIVE

    def booked_at(self, now: datetime) -> datetime:
        """The instant of a movement at `now`: the journal's times never go back."""
        return now if self.moved_at is None else max(now, self.moved_at)

    def conditions(self) -> Conditions:
        """The dated states that usage is judged by (D5)."""
        stops = [*self.stops]
        releases = [*self.releases]
        if self.arrears is not None:
            stops.append(Interval(self.arrears.stops_at))
            releases.append(self.arrears.releases_at)
        if self.violation is not None:
            stops.append(Interval(self.violation.since))
        return Conditions(self.postpaid, tuple(stops), tuple(releases))

    def with_funds(self, funds: Funds, now: datetime, release_after: timedelta = RELEASE_AFTER) -> Account:
        """The account after a movement of money at `now`: arrears begin and end with the balance (D21).

        `release_after` is the stack's setting for arrears that begin now (D23).
        """
        account = replace(self, funds=funds, moved_at=now)
        if funds.available < 0:
            return account if account.arrears else replace(account, arrears=Arrears(now, release_after))
        return _without_arrears(account, now)


def _without_arrears(account: Account, now: datetime) -> Account:
    """Arrears end at `now`; what they brought about stays on record as dated facts."""
    arrears = account.arrears
    if arrears is None:
        return account
    stops = (*account.stops, Interval(arrears.stops_at, now)) if arrears.stops_at < now else account.stops
    releases = (*account.releases, arrears.releases_at) if arrears.releases_at <= now else account.releases
    return replace(account, arrears=None, stops=stops, releases=releases)
