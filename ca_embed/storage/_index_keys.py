"""The keys of a record in an index that is sorted by text. The file storage and the Redis storage use them.

Each key ends with the registration id, so that records with the same time or user are sorted by id:

    i <registration id>                                      all records
    u <32 hex digits of the user id's SHA-256> <id>          the records of one user
    d <16 hex digits that sort as the time does> <id>        the records with a due time
"""

from __future__ import annotations

import hashlib
import struct

from ca_embed.storage._base import SealedRecord

ALL = "i"
DUE = "d"
_TIME_DIGITS = 16
_SIGN = 1 << 63


def keys_of(record: SealedRecord) -> set[str]:
    """Return all keys of a record: one with its id, and one each with its user and its due time."""
    keys = {ALL + record.registration_id}
    if record.user_id is not None:
        keys.add(user_prefix(record.user_id) + record.registration_id)
    if record.due_at is not None:
        keys.add(due_prefix(record.due_at) + record.registration_id)
    return keys


def user_prefix(user_id: str) -> str:
    """Return the prefix of the keys of one user's records. The prefixes of all users have the same length."""
    return "u" + hashlib.sha256(user_id.encode()).hexdigest()[:32]


def due_prefix(due_at: float) -> str:
    """Return the prefix of the keys of records with this due time, in Unix seconds.

    The prefixes of all times have the same length, and sort as the times do.
    """
    (bits,) = struct.unpack(">Q", struct.pack(">d", due_at))
    # The bits of a positive float sort as its value does; those of a negative float sort the other way.
    ordered = bits ^ (_SIGN if bits < _SIGN else 2 * _SIGN - 1)
    return f"{DUE}{ordered:0{_TIME_DIGITS}x}"


def due_at_of(key: str) -> float:
    """Return the due time of a key that begins with a `due_prefix`, in Unix seconds."""
    ordered = int(key[len(DUE) : len(DUE) + _TIME_DIGITS], 16)
    bits = ordered ^ (_SIGN if ordered >= _SIGN else 2 * _SIGN - 1)
    (due_at,) = struct.unpack(">d", struct.pack(">Q", bits))
    return float(due_at)
