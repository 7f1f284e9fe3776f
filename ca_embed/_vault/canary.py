"""The canary: a record that shows at the first use of a storage whether the keys fit it.

Without it, wrong keys would show only when a customer's record is opened.
"""

from __future__ import annotations

from collections.abc import Callable

from ca_embed._vault.keyring import Keyring, key_id_of
from ca_embed.errors import UnknownKey
from ca_embed.storage._base import SealedRecord

_ID = "~canary"  # no registration id has a "~"
_FIELD = "canary"
CANARY_ID = _ID  # it is copied with the records


class Canary:
    """Opens the canary once before records are opened. Seals it under the first key before one is sealed.

    Only writing moves it to a new first key. If reading did, a process that merely looks would lock out all
    processes that have only the older key yet.
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
        self._fits = self._is_newest = False

    def before_opening(self) -> None:
        """Raise UnknownKey or Tampered if the keys do not fit the storage."""
        if not self._fits:
            self._opened()
            self._fits = True

    def before_sealing(self) -> None:
        """Seal the canary under the first key. Raises UnknownKey or Tampered if the keys do not fit."""
        if self._is_newest:
            return
        canary = self._opened()
        newest = canary is not None and key_id_of(canary.document) == self._keyring.key_ids[0]
        # If another process saved one first, this saves nothing, and the next use opens that one.
        self._is_newest = newest or self._save(self._sealed(canary.version + 1 if canary else 1))

    def _opened(self) -> SealedRecord | None:
        canary = self._load(_ID)
        if canary is not None:
            self._open(canary)
        return canary

    def _open(self, canary: SealedRecord) -> None:
        try:
            self._keyring.open(canary.document, registration_id=_ID, field=_FIELD)
        except UnknownKey:
            raise UnknownKey(
                f"this storage is sealed under key {key_id_of(canary.document)}, which is not among "
                "encryption_keys; add that key again, or choose another storage",
                registration_id=_ID,
            ) from None

    def _sealed(self, version: int) -> SealedRecord:
        sealed = self._keyring.seal(b"", registration_id=_ID, field=_FIELD)
        return SealedRecord(_ID, version, None, None, sealed)
