"""Encrypts what is stored: AES-256-GCM with a key id, a key commitment and associated data.

A sealed blob:

    0x02 | key id, 8 bytes | key commitment, 32 bytes | nonce, 12 bytes | ciphertext and tag

Everything before the nonce, the registration id and the field are authenticated together. So a blob that was
moved to another row, or whose key id was changed, does not open. The commitment is a digest of the key: a
blob that was made to open under two keys, which AES-GCM alone allows, opens under none but the one that it
names. The first key seals, all keys open. There is no mode without a key.

Blobs that begin with 0x01 are older and have no commitment. They open, and `rotate-keys` seals them anew.
`docs/sealing.md` describes both forms, with test vectors.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ca_embed.errors import ForeignFormat, Tampered, UnknownKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION, _OLDER_VERSION = b"\x02", b"\x01"
_KEY_ID_BYTES, _COMMITMENT_BYTES, _NONCE_BYTES, _TAG_BYTES = 8, 32, 12, 16
_HEADER_BYTES = {  # by the first byte
    _VERSION: 1 + _KEY_ID_BYTES + _COMMITMENT_BYTES,
    _OLDER_VERSION: 1 + _KEY_ID_BYTES,
}


def generate_key() -> str:
    """Return a new encryption key: 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def key_id_of(blob: bytes) -> str | None:
    """Return the id of the key that sealed the blob, or None if it is not a sealed blob."""
    shortest = length_of_empty(blob)
    if shortest is None or len(blob) < shortest:
        return None
    return blob[1 : 1 + _KEY_ID_BYTES].hex()


def length_of_empty(blob: bytes) -> int | None:
    """Return the bytes of a blob of this form in which nothing is sealed. None: it is not a sealed blob."""
    header = _HEADER_BYTES.get(blob[:1])
    return None if header is None else header + _NONCE_BYTES + _TAG_BYTES


class _Key(NamedTuple):
    """What is derived from one secret text. `header` begins each blob that the key seals."""

    header: bytes
    cipher: AESGCM


class Keyring:
    """Encryption keys by their id.

    keys: one or more secret texts, such as `generate_key` returns, or a function that returns them. The
        first seals, all open.
    """

    def __init__(self, keys: Sequence[str] | Callable[[], Sequence[str]]) -> None:
        """Keep the function for the first use. It may raise StorageUnavailable, also later."""
        self._provide = keys if callable(keys) else None
        self._derived = None if callable(keys) else _derived(keys)

    def __repr__(self) -> str:
        """Show the ids of the keys, never a key."""
        shown = "keys not asked for yet" if self._derived is None else ", ".join(self.key_ids)
        return f"<Keyring {shown}>"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys. The first is the key that seals."""
        return tuple(identity.hex() for identity in self._keys)

    def seals_like(self, blob: bytes) -> bool:
        """Tell whether a blob is sealed under the first key, and in the form of today."""
        header = next(iter(self._keys.values())).header
        return blob.startswith(header)

    def seal(self, plaintext: bytes, *, registration_id: str, field: str) -> bytes:
        """Encrypt under the first key, bound to the registration and field."""
        key = next(iter(self._keys.values()))
        nonce = os.urandom(_NONCE_BYTES)  # a nonce must never repeat under one key
        bound_to = _associated_data(key.header, registration_id, field)
        return key.header + nonce + key.cipher.encrypt(nonce, plaintext, bound_to)

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
        key = self._keys.get(bytes.fromhex(key_id))
        if key is None:
            raise UnknownKey(
                f"sealed under key {key_id}, which this process does not have. If the key is new: deploy "
                "the key list with the new key last before it is put first. If it is old: add it to "
                "encryption_keys again, and run `ca-embed rotate-keys` before you remove it",
                registration_id=registration_id,
            )
        end = _HEADER_BYTES[blob[:1]]
        header, nonce, ciphertext = blob[:end], blob[end : end + _NONCE_BYTES], blob[end + _NONCE_BYTES :]
        committed = header == key.header or blob[:1] == _OLDER_VERSION
        try:
            if committed:
                bound_to = _associated_data(header, registration_id, field)
                return key.cipher.decrypt(nonce, ciphertext, bound_to)
        except InvalidTag:
            pass
        raise Tampered(
            "the seal is broken: its bytes were changed, or it belongs to another record; "
            "restore it from a backup",
            registration_id=registration_id,
        )

    @property
    def _keys(self) -> dict[bytes, _Key]:
        if self._derived is None:
            assert self._provide is not None
            self._derived = _derived(self._provide())
        return self._derived


def _derived(keys: Sequence[str]) -> dict[bytes, _Key]:
    """Derive each key's id, commitment and AES key from its text (HKDF-SHA256, RFC 5869)."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    derived = {}
    for key in keys:
        identity = _derive(key, b"key id", _KEY_ID_BYTES)
        header = _VERSION + identity + _derive(key, b"commitment", _COMMITMENT_BYTES)
        derived[identity] = _Key(header, AESGCM(_derive(key, b"seal", 32)))
    return derived


def _derive(key: str, purpose: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt=None, info=b"ca_embed " + purpose).derive(key.encode())


def _associated_data(header: bytes, *names: str) -> bytes:
    """Put the length before each name. With a separator, two lists of names could give the same bytes."""
    encoded = [name.encode() for name in names]
    return header + b"".join(len(name).to_bytes(4, "big") + name for name in encoded)
