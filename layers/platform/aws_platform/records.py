"""How usage events are stored: 18 bytes each, packed into the buckets of an account, day, ten seconds and source.

A record is an identity (12 bytes of a hash over source, id and instant) followed by 6 bytes of data. Records are only
ever appended to a bucket, so its length is its version, and what a newer version added is its tail.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

IDENTITY_BYTES = 12
DATA_BYTES = 6
RECORD_BYTES = IDENTITY_BYTES + DATA_BYTES
SLOT_SECONDS = 10

MAX_KIND = (1 << 9) - 1
MAX_NAME = (1 << 11) - 1
OTHER = MAX_NAME
"""The number of every name beyond the bound of an account's dictionary."""
NO_NAME = 0
"""The number of an absent sub-account."""

_DATA = struct.Struct("<IH")
_RECORD = struct.Struct(f"<{IDENTITY_BYTES}sI2x")
_RECORD_DATA = struct.Struct(f"<{IDENTITY_BYTES}xIH")
_COUNT = struct.Struct("<IH")
_CHARGEABLE = 1 << 9
_CODE_SHIFT = 10
_SUB_SHIFT = 21
_CHECK_MASK = 0xFFF


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What a call is counted under, as numbers of the catalog and of the account's dictionary."""

    kind: int
    """The interface's number in the catalog, which implies library, variant and tag."""
    chargeable: bool
    code: int
    sub_account: int

    def pack(self) -> int:
        """As a 32-bit number."""
        return (
            self.kind
            | (_CHARGEABLE if self.chargeable else 0)
            | self.code << _CODE_SHIFT
            | self.sub_account << _SUB_SHIFT
        )


@lru_cache(maxsize=8192)
def unpack_dimensions(packed: int) -> Dimensions:
    """The reverse of `Dimensions.pack`."""
    return Dimensions(
        packed & MAX_KIND, bool(packed & _CHARGEABLE), packed >> _CODE_SHIFT & MAX_NAME, packed >> _SUB_SHIFT
    )


def identity(source: str, event_id: str, epoch_seconds: int, fraction: str) -> bytes:
    """What makes two events the same one: source, id and the instant (the account is the bucket's)."""
    text = f"{len(source)}:{source}{len(event_id)}:{event_id}{epoch_seconds}.{fraction}"
    return hashlib.blake2b(text.encode(), digest_size=IDENTITY_BYTES).digest()


def pack_data(dimensions: int, second_of_slot: int, sub_account: str, code: str) -> bytes:
    """The data of a record; the check tells names apart that share the number `OTHER`."""
    check = zlib.crc32(f"{sub_account}\0{code}".encode()) & _CHECK_MASK
    return _DATA.pack(dimensions, second_of_slot | check << 4)


def split_records(records: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(identity, data) of each record. Raises ValueError for a broken length."""
    if len(records) % RECORD_BYTES:
        msg = f"{len(records)} bytes are not whole records"
        raise ValueError(msg)
    for start in range(0, len(records), RECORD_BYTES):
        middle = start + IDENTITY_BYTES
        yield records[start:middle], records[middle : middle + DATA_BYTES]


def identified(records: bytes) -> Iterator[tuple[bytes, int]]:
    """(identity, packed dimensions) of each record."""
    return _RECORD.iter_unpack(records)


def count_records(records: bytes) -> Counter[int]:
    """Calls by packed dimensions."""
    return Counter(dimensions for dimensions, _ in _RECORD_DATA.iter_unpack(records))


def count_by_second(records: bytes) -> Counter[tuple[int, int]]:
    """Calls by (second of the slot, packed dimensions)."""
    return Counter((rest & 0xF, dimensions) for dimensions, rest in _RECORD_DATA.iter_unpack(records))


def pack_counts(counts: Mapping[int, int]) -> bytes:
    """Counts by packed dimensions, ascending: stored beside the records so that a day is counted without them."""
    return b"".join(_COUNT.pack(dimensions, count) for dimensions, count in sorted(counts.items()))


def add_counts(packed: Iterable[bytes]) -> dict[int, int]:
    """The sum of packed counts. Where usage is thin most of them are alike, and each kind is unpacked once."""
    totals: dict[int, int] = {}
    for counts, times in Counter(packed).items():
        for dimensions, count in _COUNT.iter_unpack(counts):
            totals[dimensions] = totals.get(dimensions, 0) + count * times
    return totals


@lru_cache(maxsize=4096)
def source_key(source: str) -> str:
    """A short stand-in for the source in a bucket's key. Sources that share one only share buckets."""
    return hashlib.blake2b(source.encode(), digest_size=4).hexdigest()


def bucket_key(slot: int, source: str, generation: int) -> str:
    """Sort key of a bucket: the ten seconds of the day, the source, the generation."""
    return f"{bucket_prefix(slot, source)}{generation:04x}"


def bucket_prefix(slot: int, source: str) -> str:
    """What the keys of all generations begin with."""
    return f"{slot:04d}#{source_key(source)}#"


def slot_of_key(sort_key: str) -> int:
    """The ten seconds of the day that a bucket's sort key names."""
    return int(sort_key[:4])


def generation_of_key(sort_key: str) -> int:
    """The generation that a bucket's sort key names."""
    return int(sort_key.rpartition("#")[2], 16)
