"""Encrypts what is stored: AES-256-GCM with a key id and associated data.

A sealed blob:

    0x01 | key id, 8 bytes | nonce, 12 bytes | ciphertext and tag

The version, the key id, the registration id and the field are authenticated together. So a blob that was
moved to another row, or whose key id was changed, does not open. The first key seals, all keys open. There
is no mode without a key.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence

from ca_embed.errors import ForeignFormat, Tampered, UnknownKey

_VERSION = b"\x01"
_KEY_ID_BYTES, _NONCE_BYTES, _TAG_BYTES = 8, 12, 16
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES

SHORTEST_BLOB = _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES  # bytes; nothing is sealed in it


def generate_key() -> str:
    """Return a new encryption key: 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def key_id_of(blob: bytes) -> str | None:
    """Return the id of the key that sealed the blob, or None if it is not a sealed blob."""
    if len(blob) < SHORTEST_BLOB or blob[:1] != _VERSION:
        return None
    return blob[1:_HEADER_BYTES].hex()


class Keyring:
    """Encryption keys by their id.

    keys: one or more secret texts, such as `generate_key` returns. The first seals, all open.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """Derive an AES key and its id from each text (HKDF-SHA256, RFC 5869)."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        derived = [(_derive(key, b"key id", _KEY_ID_BYTES), _derive(key, b"seal", 32)) for key in keys]
        self._ciphers = {identity: AESGCM(aes_key) for identity, aes_key in derived}
        self._first = derived[0][0]

    def __repr__(self) -> str:
        """Show the ids of the keys, never a key."""
        return f"<Keyring {', '.join(self.key_ids)}>"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys. The first is the key that seals."""
        return tuple(identity.hex() for identity in self._ciphers)

    def seal(self, plaintext: bytes, *, registration_id: str, field: str) -> bytes:
        """Encrypt under the first key, bound to the registration and field."""
        header = _VERSION + self._first
        nonce = os.urandom(_NONCE_BYTES)  # a nonce must never repeat under one key
        bound_to = _associated_data(header, registration_id, field)
        return header + nonce + self._ciphers[self._first].encrypt(nonce, plaintext, bound_to)

    def open(self, blob: bytes, *, registration_id: str, field: str) -> bytes:
        """Decrypt what `seal` returned for the same registration and field.

        Raises ForeignFormat, UnknownKey or Tampered. Each names the registration.
        """
        from cryptography.exceptions import InvalidTag

        key_id = key_id_of(blob)
        if key_id is None:
            raise ForeignFormat(
                "its bytes were not sealed by ca_embed; find out which other program writes to this storage",
                registration_id=registration_id,
            )
        header, rest = blob[:_HEADER_BYTES], blob[_HEADER_BYTES:]
        cipher = self._ciphers.get(header[1:])
        if cipher is None:
            raise UnknownKey(
                f"sealed under key {key_id}, which this process does not have. If the key is new: deploy "
                "the key list with the new key last before it is put first. If it is old: add it to "
                "encryption_keys again, and run `ca-embed rotate-keys` before you remove it",
                registration_id=registration_id,
            )
        bound_to = _associated_data(header, registration_id, field)
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], bound_to)
        except InvalidTag:
            raise Tampered(
                "the seal is broken: its bytes were changed, or it belongs to another record; "
                "restore it from a backup",
                registration_id=registration_id,
            ) from None


def _derive(key: str, purpose: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt=None, info=b"ca_embed " + purpose).derive(key.encode())


def _associated_data(header: bytes, *names: str) -> bytes:
    """Put the length before each name. With a separator, two lists of names could give the same bytes."""
    encoded = [name.encode() for name in names]
    return header + b"".join(len(name).to_bytes(4, "big") + name for name in encoded)
