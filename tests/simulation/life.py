"""One account of a model by itself, for the model's own tests."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.simulation.model import Model
from tests.simulation.steps import (
    Adjustment,
    Call,
    Grant,
    Open,
    Order,
    Postpaid,
    Report,
    Run,
    Step,
    TopUp,
    Violation,
)
from tests.simulation.view import Answer, View

NO_ANSWER = Answer(0, {})
CARD, CHECK, RISK, PHONE = "api.bank_card_2e", "api.id_card_verification", "face_risk", "api.phone_2e"


def at(text: str) -> datetime:
    """An instant of Shanghai's clock: day, and time if it is not midnight."""
    return datetime.fromisoformat(f"{text if ' ' in text else text + ' 00:00:00'}+08:00")


class Life:
    """One account of a model, which hears nothing but ids from the product."""

    def __init__(self, opened: str = "2024-12-01", moved: str | None = None, *, verified: bool = False) -> None:
        """Open it; ``moved``: at an earlier time elsewhere."""
        self.model, self.ids = Model(), 0
        step = Open(at(opened), "a", enterprise_verified=verified, opened_at=at(moved) if moved else None)
        self.model.apply(step, [NO_ANSWER] * 3)

    def do(self, step: Step, status: int = 200, **body: Any) -> list[str]:
        """A step with its answer; what the model says against that."""
        return self.model.apply(step, [Answer(status, body)])

    def postpaid(self, when: str, *, enabled: bool) -> None:
        """Postpaid is switched."""
        self.model.apply(Postpaid(at(when), "a", enabled), [NO_ANSWER])

    def violate(self, when: str, *, active: bool) -> None:
        """A violation begins or ends."""
        self.model.apply(Violation(at(when), "a", active), [NO_ANSWER])

    def top_up(self, when: str, amount: str, fund: str = "cash") -> None:
        """Money in."""
        self.do(TopUp(at(when), "a", f"t-{when}-{fund}", fund, Decimal(amount)))

    def adjust(self, when: str, amount: str) -> None:
        """A compensation or a charge."""
        self.ids += 1
        self.do(Adjustment(at(when), "a", f"a-{self.ids}", Decimal(amount)), 201, bill_id=f"adjustment-{self.ids}")

    def use(self, time: str, calls: int = 1, interface: str = CHECK, told: str | None = None, code: str = "0") -> None:
        """So many calls of an instant, told then or later."""
        self.ids += 1
        made = tuple(Call("a", "s", f"e-{self.ids}-{one}", at(time), interface, code) for one in range(calls))
        self.model.apply(Report(at(told or time), made, by_queue=True), [])

    def order(self, when: str, *items: tuple[str, int], name: str = "o", **more: Any) -> Order:
        """An order as a step."""
        return Order(at(when), "a", name, items, **more)

    def buy(self, when: str, *items: tuple[str, int], name: str = "o", **more: Any) -> list[str]:
        """Buy packages; their ids."""
        skus = [sku for sku, quantity in items for _ in range(quantity)]
        self.ids += 1
        ids = [f"pkg-{self.ids:03d}-{place:02d}" for place, _ in enumerate(skus)]
        packages = [{"package_id": one, "sku": sku} for one, sku in zip(ids, skus, strict=True)]
        self.do(self.order(when, *items, name=name, **more), 201, order_id=f"order-{self.ids}", packages=packages)
        assert set(ids) <= {package.package_id for package in self.model.accounts["a"].packages}
        return ids

    def give(self, when: str, calls: int, tag: str = "identity_check") -> str:
        """A gift; its id."""
        self.ids += 1
        package_id = f"gift-{self.ids:03d}"
        self.do(Grant(at(when), "a", package_id, tag, calls), 201, package_id=package_id)
        return package_id

    def run(self, *days: str) -> None:
        """The runs of 08:00 of some days."""
        for day in days:
            self.model.apply(Run(at(f"{day} 08:00:00")), [])

    def view(self, when: str) -> View:
        """What the customer sees."""
        return self.model.view("a", at(when))

    def cash(self, when: str = "2026-01-01") -> str:
        """The cash."""
        return str(self.view(when).account["cash"])

    def split(self, day: str, tag: str = "identity_check", when: str | None = None) -> tuple[int, ...]:
        """Free, paid, postpaid and uncovered calls of a day."""
        found = self.view(when or f"{day} 23:59:59").usage[day, tag]
        return found.free, found.paid, found.postpaid, found.uncovered
