"""Switches against a log of what was set when (D5)."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.civil import start_of
from rating.history import Switch
from tests.property.strategies import SECOND

_START = start_of(date(2025, 3, 1))
_INSTANTS = st.integers(0, 12).map(lambda number: _START + number * SECOND)


@given(st.booleans(), st.lists(st.tuples(_INSTANTS, st.booleans()), max_size=12))
def test_a_switch_is_what_was_last_set(initial: bool, changes: list[tuple[datetime, bool]]) -> None:  # noqa: FBT001
    """At each instant the state is that of the last change up to it, the last of several at one instant."""
    changes = sorted(changes, key=lambda change: change[0])
    switch = Switch(initial=initial)
    for instant, state in changes:
        switch = switch.set(instant, state=state)
    for number in range(-1, 14):
        instant = _START + number * SECOND
        states = [initial, *(state for when, state in changes if when <= instant)]
        assert switch.at(instant) is states[-1]
    assert list(switch.flips) == sorted(set(switch.flips))
    if switch.flips:
        with pytest.raises(ValueError, match="not rewritten"):
            switch.set(switch.flips[-1] - SECOND, state=initial)


@given(st.booleans(), st.lists(_INSTANTS, max_size=8, unique=True), _INSTANTS)
def test_folding_forgets_nothing_from_then_on(initial: bool, flips: list[datetime], before: datetime) -> None:  # noqa: FBT001
    """At every instant from the fold on the state is what it was, and nothing older is kept (D5)."""
    switch = Switch(initial=initial, flips=tuple(sorted(flips)))
    folded = switch.folded(before)
    assert all(flip > before for flip in folded.flips)
    for number in range(14):
        instant = _START + number * SECOND
        if instant >= before:
            assert folded.at(instant) is switch.at(instant)
