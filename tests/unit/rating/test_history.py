"""Dated histories: a state holds from its own instant on (D5, D22)."""

from __future__ import annotations

import pytest

from rating.history import Interval, Switch, covered
from tests.unit.rating.building import SECOND, at

NOON = at("2025-03-01T12:00:00")


@pytest.mark.parametrize("initial", [True, False])
def test_a_switch_holds_its_first_state_until_it_flips(*, initial: bool) -> None:
    """The second before a flip has the old state, the flip's own second the new one (D5)."""
    switch = Switch(initial=initial).set(NOON, state=not initial)
    assert switch.at(NOON - SECOND) is initial
    assert switch.at(NOON) is not initial
    assert switch.at(NOON + SECOND) is not initial


def test_setting_the_state_that_holds_changes_nothing() -> None:
    """Switching on what is on leaves no trace."""
    switch = Switch(initial=True)
    assert switch.set(NOON, state=True) is switch


def test_a_flip_back_at_the_same_instant_leaves_no_flip() -> None:
    """Off and on again within one second is on throughout."""
    switch = Switch(initial=True).set(NOON, state=False).set(NOON, state=True)
    assert switch == Switch(initial=True)
    assert switch.set(NOON, state=False) == Switch(initial=True, flips=(NOON,))


def test_a_history_is_not_rewritten() -> None:
    """A change before the last one is refused, whatever it says (D5)."""
    switch = Switch(initial=True).set(NOON, state=False)
    for state in (True, False):
        with pytest.raises(ValueError, match="not rewritten"):
            switch.set(NOON - SECOND, state=state)


def test_a_folded_history_says_the_same_from_then_on() -> None:
    """What lies further back is kept as its outcome, a flip at the very instant included."""
    flips = tuple(NOON + n * SECOND for n in (0, 5, 9))
    switch = Switch(initial=False, flips=flips)
    assert switch.folded(NOON + 5 * SECOND) == Switch(initial=False, flips=flips[2:])
    assert switch.folded(NOON + 4 * SECOND) == Switch(initial=True, flips=flips[1:])
    assert switch.folded(NOON - SECOND) == switch


def test_an_interval_holds_its_start_and_not_its_end() -> None:
    """A stop is [start, end) (D22)."""
    stop = Interval(NOON, NOON + 2 * SECOND)
    assert [stop.covers(NOON + n * SECOND) for n in (-1, 0, 1, 2)] == [False, True, True, False]


def test_an_open_interval_lasts() -> None:
    """Without an end, an interval covers everything from its start on."""
    assert Interval(NOON).covers(at("9999-12-31T00:00:00"))
    assert not Interval(NOON).covers(NOON - SECOND)


def test_an_empty_interval_covers_nothing() -> None:
    """A stop that was lifted in its first instant never was."""
    assert not Interval(NOON, NOON).covers(NOON)


def test_any_interval_covers() -> None:
    """Of several stops one suffices; of none, none."""
    stops = [Interval(NOON, NOON + SECOND), Interval(NOON + 5 * SECOND)]
    assert [covered(stops, NOON + n * SECOND) for n in (0, 1, 4, 5, 9)] == [True, False, False, True, True]
    assert not covered([], NOON)
