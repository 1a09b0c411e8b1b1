"""Simulations that found something once, as `make simulate` shrunk them; each says what it was."""

from __future__ import annotations

from tests.faults.support import at
from tests.simulation.plan import Plan
from tests.simulation.steps import Call, Look, Open, Report, Run, Sweep

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

LEFT = Plan(
    seed=14,
    rate=0.01,
    steps=(
        Open(
            at=at("2025-04-01 10:00:00"),
            account="acct-00",
            enterprise_verified=False,
            opened_at=at("2022-06-01 00:00:00"),
        ),
        Report(
            at=at("2025-05-08 08:00:00"),
            calls=(
                Call(
                    account="acct-00",
                    source="/gateway-1",
                    event_id="e-1",
                    time=at("2025-04-28 07:55:00"),
                    interface="api.id_card_verification",
                    result_code="0",
                ),
            ),
        ),
        Run(at=at("2025-06-01 08:00:00")),
        Report(
            at=at("2025-06-02 07:55:00"),
            calls=(
                Call(
                    account="acct-00",
                    source="/gateway-1",
                    event_id="e-2",
                    time=at("2025-04-28 07:55:00"),
                    interface="api.id_card_verification",
                    result_code="0",
                ),
            ),
        ),
        Run(at=at("2025-06-02 08:00:00")),
        Look(at=at("2025-06-02 09:00:00"), everybody=True),
    ),
)
"""A run that could not keep a day's totals left the late mark, and late usage of a closed month that came after it was
charged on the 2nd instead of the next 1st (D4). Seed 106 of 50 accounts."""

FOUND: dict[str, Plan] = {"ahead": AHEAD, "left": LEFT}
