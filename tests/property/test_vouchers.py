"""The voucher that a settlement takes, against a plain reading of the rule (facts.md 3.5; D16)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.civil import SHANGHAI
from rating.vouchers import Scene, Voucher, choose
from tests.property.strategies import fen

NOW = datetime(2025, 3, 10, 8, tzinfo=SHANGHAI)
FOREVER = NOW + timedelta(days=10_000)
# Few values each, so that ties are frequent.
_VOUCHERS = st.lists(
    st.builds(
        Voucher,
        voucher_id=st.integers(0, 99).map(lambda number: f"v-{number:02d}"),
        scene=st.sampled_from([Scene.POSTPAID, Scene.POSTPAID, Scene.POSTPAID, Scene.PREPAID]),
        amount=st.just(Decimal(10)),
        remaining=fen(0, 4),
        threshold=fen(0, 3),
        single_use=st.booleans(),
        issued_at=st.just(NOW - timedelta(days=1)),
        expires_at=st.one_of(st.none(), st.integers(-1, 2).map(lambda days: NOW + timedelta(days=days))),
    ),
    max_size=5,
    unique_by=lambda voucher: voucher.voucher_id,
)


def _by_hand(vouchers: list[Voucher], amount: Decimal) -> set[str]:
    """The ids between which the rule does not choose, found by leaving out one voucher after the other."""
    usable = [
        one
        for one in vouchers
        if one.scene is Scene.POSTPAID
        and one.remaining > 0
        and amount > 0
        and one.threshold <= amount
        and (one.expires_at or FOREVER) > NOW
    ]
    left = [one for one in usable if one.remaining >= amount] or usable
    rules: list[Callable[[Voucher], Any]] = [
        lambda one: one.expires_at or FOREVER,
        lambda one: -min(one.remaining, amount),
        lambda one: one.remaining,
    ]
    for better in rules:
        left = [one for one in left if better(one) == min(better(other) for other in left)]
    return {one.voucher_id for one in left}


@given(_VOUCHERS, fen(-1, 5))
def test_the_choice_is_that_of_the_rule(vouchers: list[Voucher], amount: Decimal) -> None:
    """The first to expire of those that pay all, else the first to expire; then most paid, then least left."""
    found = choose(vouchers, amount, NOW)
    possible = _by_hand(vouchers, amount)
    assert ({found.voucher_id} <= possible) if found else not possible


@given(_VOUCHERS.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))), fen(0, 5))
def test_the_choice_does_not_depend_on_the_order(pair: tuple[list[Voucher], list[Voucher]], amount: Decimal) -> None:
    """Whoever reads the vouchers in whatever order takes the same one."""
    one, other = pair
    assert choose(one, amount, NOW) == choose(other, amount, NOW)


@given(_VOUCHERS, fen(1, 5))
def test_a_payment_never_makes_money(vouchers: list[Voucher], amount: Decimal) -> None:
    """What is paid is above 0, at most the amount and what is left; the rest is kept, or lost with a single use."""
    found = choose(vouchers, amount, NOW)
    if found is None:
        return
    paid = found.pays(amount)
    assert 0 < paid <= min(amount, found.remaining)
    after = found.spent(paid)
    assert after.remaining == (0 if found.single_use else found.remaining - paid)
