"""The keys under which the filesystem storage finds a record again, in an index sorted by text.

Each key ends with the registration id, so that equal ones are sorted by it:

    i <registration id>                                      all records
    u <32 hex digits of the user id's SHA-256> <id>          one user's
    d <16 hex digits that sort as the time does> <id>        those that are due
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
    """Return all keys of a record."""
    keys = {ALL + record.registration_id}
    if record.user_id is not None:
        keys.add(user_prefix(record.user_id) + record.registration_id)
    if record.due_at is not None:
        keys.add(due_prefix(record.due_at) + record.registration_id)
    return keys


def user_prefix(user_id: str) -> str:
    """Return what the keys of one user's records begin with; all are equally long."""
    return "u" + hashlib.sha256(user_id.encode()).hexdigest()[:32]


def due_prefix(due_at: float) -> str:
    """Return what the keys of records due at that time begin with; all are equally long."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", due_at))
    ordered = bits ^ (_SIGN if bits < _SIGN else 2 * _SIGN - 1)
    return f"{DUE}{ordered:0{_TIME_DIGITS}x}"


def due_at_of(key: str) -> float:
    """Return the time of a key that begins with `due_prefix`."""
    ordered = int(key[len(DUE) : len(DUE) + _TIME_DIGITS], 16)
    bits = ordered ^ (_SIGN if ordered >= _SIGN else 2 * _SIGN - 1)
    (due_at,) = struct.unpack(">d", struct.pack(">Q", bits))
    return float(due_at)
