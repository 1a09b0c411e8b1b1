"""Simulations that found something once, as `make simulate` shrunk them; each says what it was."""

from __future__ import annotations

from tests.faults.support import at
from tests.simulation.plan import Plan
from tests.simulation.steps import Call, Look, Open, Report, Sweep

AHEAD = Plan(
    seed=2,
    steps=(
        Open(at=at("2025-01-01 10:00:00"), account="acct-00", enterprise_verified=False),
        Report(
            at=at("2025-01-27 23:54:59"),
            calls=(
                Call(
                    account="acct-00",
                    source="/gateway-1",
                    event_id="e-1",
                    time=at("2025-01-27 23:59:59.999999"),
                    interface="api.id_card_verification",
                    result_code="0",
                ),
                Call(
                    account="acct-00",
                    source="/gateway-1",
                    event_id="e-2",
                    time=at("2025-01-28 00:00:00"),
                    interface="api.id_card_verification",
                    result_code="0",
                ),
            ),
        ),
        Sweep(at=at("2025-01-27 23:55:00")),
        Look(at=at("2025-01-27 23:55:00"), everybody=True),
    ),
)
"""How far ahead an event may be is counted in whole seconds (D4): the model had it to the microsecond."""

FOUND: dict[str, Plan] = {"ahead": AHEAD}
