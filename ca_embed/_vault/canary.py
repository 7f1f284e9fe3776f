"""The canary: a record that shows at the first use of a storage whether the keys fit it.

Without it, wrong keys would show only when a customer's record is opened.

Its document is a list of sealed blobs, one after the other: one for each key that has sealed in this
storage, the newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ca_embed._vault.keyring import Keyring, key_id_of, length_of_empty
from ca_embed.errors import RecordUnreadable, UnknownKey
from ca_embed.storage._base import SealedRecord, Storage

_ID = "~canary"  # no registration id has a "~"
_FIELD = "canary"


def copy_canary(source: Storage, target: Storage) -> None:
    """Copy the canary, so that wrong keys show in the copy too. Blobs that the target has are kept."""
    canary, known = source.load(_ID), target.load(_ID)
    if canary is None:
        return
    present = [] if known is None else _blobs(known)
    missing = [blob for blob in _blobs(canary) if key_id_of(blob) not in _key_ids(present)]
    if missing:
        target.save(_record(known, present + missing))


class Canary:
    """Opens the canary once before records are opened. Adds a blob for the first key before one is sealed.

    The keys fit if they open any of its blobs. So while a key is changed, a process with the older keys
    may start although others seal under the new key already. Only writing adds a blob.
    """

    def __init__(
        self,
        load: Callable[[str], SealedRecord | None],
        save: Callable[[SealedRecord], bool],
        keyring: Keyring,
    ) -> None:
        """Take the functions of a storage that load and save a record, and the keyring."""
        self._load, self._save = load, save
        self._keyring = keyring
        self._fits = self._has_first_key = False

    def before_opening(self) -> None:
        """Raise UnknownKey or Tampered if the keys do not fit the storage."""
        if not self._fits:
            self._opened()
            self._fits = True

    def before_sealing(self) -> None:
        """Add a blob for the first key. Raises UnknownKey or Tampered if the keys do not fit."""
        if self._has_first_key:
            return
        canary = self._opened()
        blobs = [] if canary is None else _blobs(canary)
        present = self._keyring.key_ids[0] in _key_ids(blobs)
        # If another process changed it first, this saves nothing, and the next use opens it again.
        self._has_first_key = present or self._save(_record(canary, [self._sealed(), *blobs]))

    def key_ids(self) -> set[str]:
        """Return the ids of the keys that have a blob. Nothing is opened."""
        canary = self._load(_ID)
        return set() if canary is None else set(_key_ids(_blobs(canary)))

    def forget_unused(self, used: Collection[str]) -> None:
        """Keep the blobs of the first key and of the key ids in `used`, and remove all others.

        Raises UnknownKey or Tampered if the keys do not fit.
        """
        canary = self._opened()
        if canary is None:
            return
        before, first = _blobs(canary), self._keyring.key_ids[0]
        kept = [blob for blob in before if key_id_of(blob) in {first, *used}]
        if first not in _key_ids(kept):
            kept.insert(0, self._sealed())
        if kept != before:
            self._save(_record(canary, kept))

    def _opened(self) -> SealedRecord | None:
        canary = self._load(_ID)
        if canary is not None:
            self._open_any(_blobs(canary))
        return canary

    def _open_any(self, blobs: list[bytes]) -> None:
        broken: RecordUnreadable | None = None
        for blob in blobs:
            try:
                self._keyring.open(blob, registration_id=_ID, field=_FIELD)
            except UnknownKey:
                continue
            except RecordUnreadable as error:
                broken = error
            else:
                return
        raise broken or UnknownKey(
            f"this storage is sealed under key {' and '.join(_key_ids(blobs))}, which is not among "
            "encryption_keys; add that key at the end of the list, or choose another storage",
            registration_id=_ID,
        )

    def _sealed(self) -> bytes:
        return self._keyring.seal(b"", registration_id=_ID, field=_FIELD)


def _blobs(canary: SealedRecord) -> list[bytes]:
    """Take the document apart. The first byte of each blob says how long it is, since nothing is in it."""
    rest, blobs = canary.document, list[bytes]()
    while rest or not blobs:
        length = length_of_empty(rest) or len(rest)
        blobs.append(rest[:length])
        rest = rest[length:]
    return blobs


def _key_ids(blobs: list[bytes]) -> list[str]:
    return [key_id for blob in blobs if (key_id := key_id_of(blob)) is not None]


def _record(before: SealedRecord | None, blobs: list[bytes]) -> SealedRecord:
    """Return the canary that follows one in the storage, or the first one."""
    return SealedRecord(_ID, before.version + 1 if before else 1, None, None, b"".join(blobs))
