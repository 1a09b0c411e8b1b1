"""An independent model of Zhangben's billing: naive, slow, obviously right; it shares no code with the product.

It is made from the requirement alone. Where that says nothing (which of several refusals of one status comes first),
any of the answers that fit is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import singledispatchmethod
from typing import Any

from tests.simulation.model import metering, prepaid
from tests.simulation.model.money import ALL_FUNDS, Books, money, paid_by
from tests.simulation.model.prices import PriceBook
from tests.simulation.model.settlement import settle
from tests.simulation.model.state import ZERO, Account, Package, Payment, Refund, Row
from tests.simulation.model.state import Voucher as Issued
from tests.simulation.model.times import SHANGHAI, gift_end, stamp, whole
from tests.simulation.model.views import Seen, account_view, balance_view
from tests.simulation.steps import (
    Activity,
    Adjustment,
    ContractPrice,
    Discount,
    Grant,
    Look,
    Merchant,
    Open,
    Order,
    Postpaid,
    Price,
    RefundBlock,
    Report,
    Run,
    Step,
    Sweep,
    TopUp,
    Violation,
    Voucher,
)
from tests.simulation.steps import Refund as AskedBack
from tests.simulation.view import Answer, View

DAILY_FROM = datetime(2023, 1, 4, tzinfo=SHANGHAI)
"""Who opened before is settled by the month (D2)."""

KEYED = (TopUp, Adjustment, Voucher, Order, Grant, AskedBack)
"""Steps whose request has a key."""

type Expected = Mapping[str, Any]


def compare(what: str, shown: Mapping[str, Any], expected: Expected) -> list[str]:
    """Where the fields of an answer differ."""
    return [
        f"{what}: {name} is {shown.get(name)!r}, must be {value!r}"
        for name, value in expected.items()
        if shown.get(name) != value
    ]


def refused(what: str, answer: Answer, codes: set[str], statuses: Mapping[str, int]) -> list[str]:
    """Where a refusal differs from those that fit."""
    code = answer.body.get("code")
    if code in codes and answer.status == statuses[code]:
        return []
    return [f"{what}: {answer.status} {code}, must be refused as {sorted(codes)}"]


def funds_of(payment: Payment) -> dict[str, str]:
    """What each fund pays, as answers show it."""
    return {fund: money(payment.get(fund, ZERO)) for fund in ALL_FUNDS}


def _key_of(step: Step) -> tuple[type[Step], str, str]:
    """What a key is kept for: the route, the account, and the key, which is the name of the step."""
    return type(step), getattr(step, "account", ""), getattr(step, "name", "")


def _repeated(step: Step, answer: Answer, first: Step, answered: Answer) -> list[str]:
    """Where the answer to a request whose key has been used differs: it is the first one, or a refusal."""
    what = f"{type(step).__name__} again"
    if replace(step, at=first.at) != first:
        return refused(what, answer, {"idempotency_key_reused"}, {"idempotency_key_reused": 422})
    return [] if (answer.status, answer.body) == (answered.status, answered.body) else [f"{what}: {answer.body}"]


class Model:
    """Works out what the product must show after each step."""

    def __init__(self, *, release_days: int = 30) -> None:
        """``release_days``: from the stop in arrears to the release (D23)."""
        self.prices = PriceBook()
        self.books = Books(release_days)
        self.accounts: dict[str, Account] = {}
        self.first: dict[tuple[type[Step], str, str], tuple[Step, Answer]] = {}
        """Requests with a key that have succeeded, and their answers."""

    def apply(self, step: Step, answers: Sequence[Answer]) -> list[str]:
        """Do what a step does; says in which points the product's answer differs from what it must be."""
        known = self.first.get(_key_of(step))
        if known is not None and answers:
            return _repeated(step, answers[0], *known)
        found: list[str] = self._apply(step, answers)
        if isinstance(step, KEYED) and answers and answers[0].status in {201, 202}:
            self.first[_key_of(step)] = (step, answers[0])
        return found

    def view(self, account_id: str, now: datetime) -> View:
        """What customers must see of an account at an instant."""
        return Seen(self.accounts[account_id], self.books, now)

    @singledispatchmethod
    def _apply(self, step: Step, answers: Sequence[Answer]) -> list[str]:
        raise NotImplementedError(step)

    # --- accounts -----------------------------------------------------------------------------------------------------

    @_apply.register
    def _open(self, step: Open, answers: Sequence[Answer]) -> list[str]:
        now = whole(step.at)
        opened = whole(step.opened_at or now)
        account = Account(
            step.account,
            opened,
            monthly=opened < DAILY_FROM,
            verified=step.enterprise_verified,
            gets_free=opened == now,
        )
        self.accounts[step.account] = account
        if account.gets_free:
            prepaid.give_at_opening(account)
        statuses = [answer.status for answer in answers]
        wrong = [] if statuses == [201, 202, 200] else [f"open: {statuses}"]
        return wrong + self._shown("open", step.account, answers[-1], now)

    def _shown(self, what: str, account_id: str, answer: Answer, now: datetime) -> list[str]:
        """Where an answer that shows the account differs."""
        if answer.status != 200:
            return [f"{what}: {answer.status} {answer.body}"]
        body = dict(answer.body)
        body |= body.pop("balance")
        body["violation"] = bool(body["violation"] and body["violation"]["active"])
        if body["arrears"]:
            body["arrears"] = tuple(body["arrears"][name] for name in ("since", "stops_at", "releases_at"))
        return compare(what, body, account_view(self.accounts[account_id], self.books, now))

    @_apply.register
    def _postpaid(self, step: Postpaid, answers: Sequence[Answer]) -> list[str]:
        self.accounts[step.account].postpaid.append((step.at, step.enabled))
        return self._shown("postpaid", step.account, answers[0], step.at)

    @_apply.register
    def _violation(self, step: Violation, answers: Sequence[Answer]) -> list[str]:
        self.books.violate(self.accounts[step.account], step.at, active=step.active)
        return self._shown("violation", step.account, answers[0], step.at)

    @_apply.register
    def _merchant(self, step: Merchant, answers: Sequence[Answer]) -> list[str]:
        account, (answer,) = self.accounts[step.account], answers
        if not account.verified:
            return refused("merchant", answer, {"enterprise_verification_required"}, prepaid.REFUSALS)
        if not account.merchants and account.gets_free:
            prepaid.give_free(account, prepaid.EID, step.at)
        account.merchants.add(step.merchant_id)
        shown = {"status": answer.status, "merchant_id": answer.body.get("merchant_id")}
        return compare("merchant", shown, {"status": 201, "merchant_id": step.merchant_id})

    # --- money --------------------------------------------------------------------------------------------------------

    @_apply.register
    def _top_up(self, step: TopUp, answers: Sequence[Answer]) -> list[str]:
        account, (answer,) = self.accounts[step.account], answers
        self.books.book(account, step.at, "top_up", {step.fund: -step.amount})
        shown = {"status": answer.status, **answer.body}
        return compare("top-up", shown, {"status": 201, "balance": balance_view(account)})

    @_apply.register
    def _adjustment(self, step: Adjustment, answers: Sequence[Answer]) -> list[str]:
        account, (answer,) = self.accounts[step.account], answers
        if answer.status != 201:
            return [f"adjustment: {answer.status} {answer.body}"]
        payment = {"cash": -step.amount} if step.amount > 0 else paid_by(account, -step.amount, None)
        self.books.book(account, step.at, "adjustment", payment)
        key = ("adjustment", str(answer.body["bill_id"]), stamp(step.at))
        account.rows.append(Row(key, 1, 0, 1, 0, -step.amount, -step.amount, payment))
        expected = {
            "amount": money(step.amount),
            "payment": funds_of(payment),
            "balance": balance_view(account),
        }
        return compare("adjustment", answer.body, expected)

    @_apply.register
    def _voucher(self, step: Voucher, answers: Sequence[Answer]) -> list[str]:
        account, (answer,) = self.accounts[step.account], answers
        if step.expires_at <= step.at:
            return [] if answer.status == 422 else [f"voucher: {answer.status}"]
        if answer.status != 201:
            return [f"voucher: {answer.status} {answer.body}"]
        voucher_id = answer.body["voucher_id"]
        issued = Issued(voucher_id, step.scene, step.amount, step.threshold, whole(step.expires_at), step.single_use)
        account.vouchers[voucher_id] = issued
        account.voucher_names[step.name] = voucher_id
        expected = {
            "scene": step.scene,
            "amount": money(step.amount),
            "remaining": money(step.amount),
            "threshold": money(step.threshold),
            "expires_at": stamp(issued.expires),
            "single_use": step.single_use,
            "status": "active",
        }
        return compare("voucher", answer.body, expected)

    # --- prices -------------------------------------------------------------------------------------------------------

    @_apply.register(Discount)
    @_apply.register(ContractPrice)
    def _terms(self, step: Discount | ContractPrice, answers: Sequence[Answer]) -> list[str]:
        account, (answer,) = self.accounts[step.account], answers
        codes, is_open = account.terms.agree(step, account.settled_through)
        code = None if answer.status == 200 else answer.body.get("code")
        if is_open and code == "already_settled":
            return []
        if code is None:
            account.terms.enter(step)
        return [] if code in codes else [f"{type(step).__name__}: {answer.status} {code}, must be one of {codes}"]

    @_apply.register
    def _price(self, step: Price, answers: Sequence[Answer]) -> list[str]:
        return compare("price", {"status": answers[0].status}, {"status": self.prices.set(step)})

    @_apply.register
    def _activity(self, step: Activity, answers: Sequence[Answer]) -> list[str]:
        self.prices.activities[step.name] = step
        return compare("activity", {"status": answers[0].status}, {"status": 200})

    # --- packages -----------------------------------------------------------------------------------------------------

    @_apply.register
    def _order(self, step: Order, answers: Sequence[Answer]) -> list[str]:
        if not answers:
            return []
        account, (answer,) = self.accounts[step.account], answers
        basket = prepaid.Basket(step, account, self.prices)
        if codes := basket.refusals():
            return refused(f"order {step.name}", answer, codes, prepaid.REFUSALS)
        if answer.status != 201:
            return [f"order {step.name}: {answer.status} {answer.body.get('code')}, must be delivered"]
        body = answer.body
        delivered = [(package["package_id"], package["sku"]) for package in body["packages"]]
        if sorted(sku for _, sku in delivered) != sorted(basket.skus):
            return [f"order {step.name}: packages {delivered}, must be {basket.skus}"]
        bought = basket.buy(body["order_id"], delivered, self.books)
        by_id = {package.package_id: package for package in bought.packages}
        account.package_names[step.name] = [by_id[one["package_id"]] for one in body["packages"]]
        expected: dict[str, Any] = {
            "status": "delivered",
            "amount": money(bought.amount),
            "payment": funds_of(bought.payment),
        }
        wrong = compare(f"order {step.name}", body, expected)
        for shown in body["packages"]:
            package = by_id[shown["package_id"]]
            expected = {
                "tag": package.tag,
                "calls": package.total,
                "amount": money(sum(package.paid.values(), ZERO)),
                "payment": funds_of(package.paid),
                "obtained_at": stamp(package.delivered),
                "expires_at": stamp(package.ends),
            }
            wrong += compare(f"order {step.name} {package.package_id}", shown, expected)
        return wrong

    @_apply.register
    def _grant(self, step: Grant, answers: Sequence[Answer]) -> list[str]:
        account, (answer,) = self.accounts[step.account], answers
        if answer.status != 201:
            return [f"grant {step.name}: {answer.status} {answer.body}"]
        now = whole(step.at)
        package = Package(answer.body["package_id"], step.tag, "gift", step.calls, now, gift_end(now))
        account.packages.append(package)
        account.package_names[step.name] = [package]
        expected = {
            "tag": step.tag,
            "source": "gift",
            "total": step.calls,
            "obtained_at": stamp(now),
            "expires_at": stamp(package.ends),
            "refund_blocked_by": "not_purchased",
        }
        return compare(f"grant {step.name}", answer.body, expected)

    @_apply.register
    def _refund_block(self, step: RefundBlock, answers: Sequence[Answer]) -> list[str]:
        package = self.accounts[step.account].package(step.package.name, step.package.index)
        if package is None or not answers:
            return []
        package.blocked = step.blocked
        return compare("refund-block", {"status": answers[0].status}, {"status": 200})

    @_apply.register
    def _refund(self, step: AskedBack, answers: Sequence[Answer]) -> list[str]:
        account, now = self.accounts[step.account], step.at
        package = account.package(step.package.name, step.package.index)
        if package is None or not answers:
            return []
        (answer,) = answers
        used = prepaid.used_now(account, now)[package.package_id]
        code = prepaid.refund_blocked_by(account, package, used, now)
        if code is not None:
            return refused(f"refund {step.name}", answer, {code}, {code: 409})
        if answer.status != 202:
            return [f"refund {step.name}: {answer.status} {answer.body.get('code')}, must be taken"]
        package.refunded = True
        refund = Refund(answer.body["refund_id"], package, now)
        account.refunds[refund.refund_id] = refund
        pays = {fund: money(amount) for fund, amount in refund.pays.items()}
        expected = {
            "status": "processing",
            "amount": money(sum(refund.pays.values(), ZERO)),
            "refunds": {fund: pays[fund] for fund in ("cash", "income_transfer", "gift")},
            "voucher_forfeited": money(package.paid.get("voucher", ZERO)),
        }
        return compare(f"refund {step.name}", answer.body, expected)

    # --- usage, and what the product does by itself -------------------------------------------------------------------

    @_apply.register
    def _report(self, step: Report, answers: Sequence[Answer]) -> list[str]:
        return metering.report(self.accounts, step, answers[0] if answers else None)

    @_apply.register
    def _sweep(self, step: Sweep, _: Sequence[Answer]) -> list[str]:
        for account in self.accounts.values():
            self.books.tell_due(account, step.at)
            prepaid.complete_refunds(account, step.at, self.books)
        return []

    @_apply.register
    def _run(self, step: Run, _: Sequence[Answer]) -> list[str]:
        for account in self.accounts.values():
            settle(account, step.at, self.prices, self.books)
        return []

    @_apply.register
    def _look(self, step: Look, _: Sequence[Answer]) -> list[str]:
        del step
        return []
