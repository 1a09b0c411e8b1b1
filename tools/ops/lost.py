"""What a table has lost of an account, found beside a copy of the table from before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

type Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lost:
    """An item to be put back."""

    kind: str
    item: Item
    seen: Item | None = None
    """What lies in its place now."""


@dataclass(slots=True)
class Found:
    """What became of an account's items since the copy."""

    account_id: str
    lost: list[Lost] = field(default_factory=list)
    """In the order in which they are to be put back."""
    unclear: list[str] = field(default_factory=list)
    """What a person has to look at, in words."""
    newer: Counter[str] = field(default_factory=Counter)
    """Items that the copy does not have, by kind."""

    def line(self) -> str:
        """What is to be told of it: ids and counts."""
        lost = Counter(one.kind for one in self.lost)
        told = [
            f"lost: {_counted(lost) or 'nothing'}",
            *([f"newer: {_counted(self.newer)}"] if self.newer else []),
            *([f"to be looked at: {'; '.join(self.unclear)}"] if self.unclear else []),
        ]
        return f"{self.account_id}\t{', '.join(told)}"


def unchanged(seen: Item | None) -> dict[str, Any]:
    """The condition that an item is still as it was seen, or still not there."""
    if seen is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    names = {f"#n{number}": name for number, name in enumerate(seen)}
    return {
        "ConditionExpression": " AND ".join(f"#n{number} = :v{number}" for number in range(len(seen))),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {f":v{number}": seen[name] for number, name in enumerate(seen)},
    }


def _counted(kinds: Counter[str]) -> str:
    return " ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
