"""Which attacks there are: a short one of each kind for every change, and long ones."""

from __future__ import annotations

from tests.attacks.fuzzing import Run
from tests.attacks.stage import OPERATOR, PRODUCER, ROLES

ALL = ("examples", "coverage", "fuzzing")
_AS_OTHERS = ("/contract-prices/", "/v1/activities/", "/v1/quotes", "/packages", "/adjustments", "PATCH ")
"""Routes whose bodies are like those of others."""
_ADMITTED = {role for role in ROLES if role.account_id == "acct-1"} | {OPERATOR, PRODUCER}
"""Who may do something with what is attacked."""
_FEW = 2
"""Examples of each operation in `make test`: each of them costs a role most of a second."""


def short_runs() -> list[Run]:
    """The edges of what is written and of a long query as who may do it, and a few requests to everything as everybody.

    Where nothing but a refusal can come, it is one request. Other queries and many examples are the long attack's.
    """
    return [
        Run(OPERATOR, ("examples", "coverage"), spared=("GET ", "POST /v1/usage", *_AS_OTHERS)),
        Run(OPERATOR, ("examples", "coverage"), only="GET /v1/accounts/{account_id}/bills/details"),
        Run(PRODUCER, ("examples", "coverage"), only="POST /v1/usage"),
        *(Run(role, ("fuzzing",), _FEW if role in _ADMITTED else 1) for role in ROLES),
    ]


def long_runs(examples: int, seed: int) -> list[Run]:
    """All of it as everybody; where nothing but a refusal can come, a tenth of the examples."""
    return [Run(role, ALL, examples if role in _ADMITTED else max(1, examples // 10), seed) for role in ROLES]
