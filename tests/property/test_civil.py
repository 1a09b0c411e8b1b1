"""Civil time against plain arithmetic on epoch seconds (D1)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from rating import civil
from tests.property.strategies import days, instants

_EPOCH_DAY = date(1970, 1, 1)


@given(st.integers(694_195_200, 4_102_416_000), st.integers(0, 999_999), st.integers(-14 * 60, 14 * 60))
def test_the_day_is_that_of_the_instant(seconds: int, micros: int, offset: int) -> None:
    """Whatever zone an instant is written in, its day is whole days since 1970 at +08:00."""
    zone = timezone(timedelta(minutes=offset))
    instant = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros).astimezone(zone)
    assert civil.day_of(instant) == _EPOCH_DAY + timedelta(days=(seconds + 8 * 3600) // 86_400)
    assert civil.business_instant(instant).timestamp() == seconds
    assert datetime.fromisoformat(civil.rfc3339(instant)).timestamp() == seconds


@given(instants())
def test_every_instant_is_in_exactly_its_own_day(instant: datetime) -> None:
    """An instant lies in [00:00, next 00:00) of its day, and days follow one another without a gap."""
    day = civil.day_of(instant)
    assert civil.start_of(day) <= instant < civil.end_of(day)
    assert civil.end_of(day) == civil.start_of(day + timedelta(days=1))


@given(days())
def test_months_follow_one_another(day: date) -> None:
    """The month of a day runs from its first to its last day, and its neighbours are next to it."""
    month = civil.month_of(day)
    first, last = civil.first_day(month), civil.last_day(month)
    assert first <= day <= last
    assert {civil.month_of(first + timedelta(days=n)) for n in range((last - first).days + 1)} == {month}
    assert civil.first_day(civil.next_month(month)) == last + timedelta(days=1)
    assert civil.last_day(civil.previous_month(month)) == first - timedelta(days=1)
