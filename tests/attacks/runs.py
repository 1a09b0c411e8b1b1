"""Which attacks there are: a short one of each kind for every change, and long ones."""

from __future__ import annotations

from tests.attacks.fuzzing import Run
from tests.attacks.stage import CUSTOMER, OPERATOR, PRODUCER, ROLES

ALL = ("examples", "coverage", "fuzzing")
_AS_OTHERS = ("/contract-prices/", "/v1/activities/", "/v1/quotes", "/packages", "/adjustments", "PATCH ")
"""Routes whose bodies are like those of others."""


def short_runs() -> list[Run]:
    """The edges of what is written and of a long query as who may do it, and a request to everything as a customer.

    Who may do what is held by the matrix of access; other queries and roles are the long attack's.
    """
    return [
        Run(OPERATOR, ("examples", "coverage"), spared=("GET ", "POST /v1/usage", *_AS_OTHERS)),
        Run(OPERATOR, ("examples", "coverage"), only="GET /v1/accounts/{account_id}/bills/details"),
        Run(PRODUCER, ("examples", "coverage"), only="POST /v1/usage"),
        *(Run(role, ("fuzzing",)) for role in (OPERATOR, CUSTOMER)),
    ]


def long_runs(examples: int, seed: int) -> list[Run]:
    """All of it as everybody; where nothing but a refusal can come, a tenth of the examples."""
    may = {role for role in ROLES if role.account_id == "acct-1"} | {OPERATOR, PRODUCER}
    return [Run(role, ALL, examples if role in may else max(1, examples // 10), seed) for role in ROLES]
