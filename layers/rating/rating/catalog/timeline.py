"""Dated records: each holds from its own day until the next one's (D20)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from rating.catalog.model import DatedPrice, PackageOffer

type Timeline[T] = tuple[tuple[date, T], ...]
"""The records of one tag with the day from which each holds, ascending."""

type Key = tuple[str, date]
"""A tag and the day from which a record of it holds."""


def start_of(price: DatedPrice) -> date:
    """The day from which a price holds; the earliest there is for the first listed one."""
    return price.from_day or date.min


def timelines[T](records: Iterable[tuple[Key, T]]) -> dict[str, Timeline[T]]:
    """The records of each tag in time; the first listed one also holds before its day (D20)."""
    found: dict[str, Timeline[T]] = {}
    for (tag, start), record in records:
        found[tag] = with_record(found.get(tag, ()), start, record)
    return {tag: ((date.min, timeline[0][1]), *timeline[1:]) for tag, timeline in found.items()}


def with_record[T](timeline: Timeline[T], start: date, record: T) -> Timeline[T]:
    """The timeline with one more record, in place of one of the same day."""
    others = [entry for entry in timeline if entry[0] != start]
    return tuple(sorted([*others, (start, record)], key=lambda entry: entry[0]))


def begun[T](timeline: Timeline[T], day: date) -> list[T]:
    """The records that hold on the day or held before it; the last one is in force."""
    return [record for start, record in timeline if start <= day]


def offers_by_day(offers: Iterable[PackageOffer]) -> Iterable[tuple[Key, tuple[PackageOffer, ...]]]:
    """The offers of each tag and day together, smallest first."""
    together: dict[Key, list[PackageOffer]] = {}
    for offer in offers:
        together.setdefault((offer.tag, start_of(offer)), []).append(offer)
    return [(key, tuple(sorted(found, key=lambda offer: offer.calls))) for key, found in together.items()]
