"""A sealed value opens only with the same keys, for the same registration and field."""

from __future__ import annotations

import hmac
import json
import os
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ca_embed._vault.keyring import Keyring, _associated_data, generate_key, key_id_of
from ca_embed.errors import (
    ForeignFormat,
    RecordUnreadable,
    StorageUnavailable,
    Tampered,
    UnknownKey,
)

KEY, OLD_KEY, FOREIGN_KEY = "fake-key-one-0123456789", "fake-key-two-0123456789", "fake-key-three-0123456789"
SECRET = b'{"app_secret": "fake-secret-value"}'


def seal(keys: list[str], plaintext: bytes = SECRET) -> bytes:
    """Seal for registration r1, field state."""
    return Keyring(keys).seal(plaintext, registration_id="r1", field="state")


def opened(keys: list[str], blob: bytes, registration_id: str = "r1", field: str = "state") -> bytes:
    """Open for registration r1, field state, unless given otherwise."""
    return Keyring(keys).open(blob, registration_id=registration_id, field=field)


@pytest.mark.parametrize("plaintext", [SECRET, b"", b"\0", b"x" * 100_000, bytes(range(256))])
def test_round_trip(plaintext: bytes) -> None:
    """A sealed value opens to the same bytes."""
    assert opened([KEY], seal([KEY], plaintext)) == plaintext


def test_nothing_is_in_the_clear() -> None:
    """The blob holds no part of the secret or the key, and sealing twice gives other bytes."""
    one, other = seal([KEY]), seal([KEY])
    assert one != other
    assert one[41:53] != other[41:53]
    assert b"fake" not in one
    assert KEY.encode() not in one


def test_the_first_key_seals_and_all_open() -> None:
    """After a new key was put first, old blobs open, and new ones are sealed under the new key."""
    old = seal([OLD_KEY])
    rotated = Keyring([KEY, OLD_KEY])
    new = rotated.seal(SECRET, registration_id="r1", field="state")
    assert rotated.open(old, registration_id="r1", field="state") == SECRET
    assert rotated.open(new, registration_id="r1", field="state") == SECRET
    assert opened([KEY], new) == SECRET
    assert (key_id_of(new), key_id_of(old)) == rotated.key_ids
    with pytest.raises(UnknownKey):
        opened([OLD_KEY], new)


def test_key_ids_are_stable() -> None:
    """The id of a key depends on the key alone. Other processes and later versions compute the same id."""
    assert Keyring([KEY, OLD_KEY]).key_ids == Keyring([OLD_KEY, KEY]).key_ids[::-1]
    assert Keyring([KEY]).key_ids == ("182fb04c894bb012",)


def test_old_blobs_open() -> None:
    """A blob of the older form, without a key commitment, still opens. It is not sealed as today."""
    blob = bytes.fromhex(
        "01182fb04c894bb012000102030405060708090a0bd054557f812f058eafc59f23b1e73f81e07886"
        "ed4727f9780a7a199cb9bcf55cb20917079bee83f748fe5ff8d95b1a3d4746af"
    )
    assert opened([KEY], blob) == SECRET
    assert key_id_of(blob) == Keyring([KEY]).key_ids[0]
    assert not Keyring([KEY]).seals_like(blob)
    assert Keyring([KEY]).seals_like(seal([KEY]))
    assert not Keyring([KEY, OLD_KEY]).seals_like(seal([OLD_KEY]))


def test_a_blob_commits_to_its_key() -> None:
    """A blob with the commitment of another key does not open, although cipher and seal are right."""
    keyring = Keyring([KEY])
    (key,) = keyring._keys.values()
    header = key.header[:9] + Keyring([FOREIGN_KEY]).seal(b"", registration_id="r1", field="state")[9:41]
    bound_to = _associated_data(header, "r1", "state")
    nonce = bytes(12)
    forged = header + nonce + key.cipher.encrypt(nonce, SECRET, bound_to)
    assert key.cipher.decrypt(nonce, forged[53:], bound_to) == SECRET
    with pytest.raises(Tampered):
        opened([KEY], forged)


@pytest.mark.parametrize(
    ("registration_id", "field"),
    [
        ("r2", "state"),
        ("r1", "other"),
        ("", "state"),
        ("r1", ""),
        ("r", "1state"),
        ("r1s", "tate"),
        ("state", "r1"),
    ],
)
def test_a_moved_blob_does_not_open(registration_id: str, field: str) -> None:
    """A blob that was copied to another row or field raises Tampered."""
    with pytest.raises(Tampered) as refusal:
        opened([KEY], seal([KEY]), registration_id, field)
    assert refusal.value.registration_id == registration_id


def test_every_byte_counts() -> None:
    """A blob with any one byte changed does not open, and raises only our errors."""
    blob = seal([KEY])
    for place in range(len(blob)):
        changed = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
        expected = ForeignFormat if place == 0 else UnknownKey if place < 9 else Tampered
        with pytest.raises(expected):
            opened([KEY], changed)


def test_an_edited_key_id_does_not_open() -> None:
    """A blob that claims to be sealed under another of our keys raises Tampered."""
    blob, other = seal([KEY]), seal([OLD_KEY])
    with pytest.raises(Tampered):
        opened([KEY, OLD_KEY], other[:9] + blob[9:])
    with pytest.raises(Tampered):
        opened([KEY, OLD_KEY], other[:41] + blob[41:])


def test_a_cut_blob_does_not_open() -> None:
    """A blob without its end raises Tampered, or ForeignFormat if it is too short for a blob."""
    blob = seal([KEY])
    for length in range(len(blob)):
        with pytest.raises(ForeignFormat if length < 9 + 32 + 12 + 16 else Tampered):
            opened([KEY], blob[:length])
    with pytest.raises(Tampered):
        opened([KEY], blob + b"\0")


@pytest.mark.parametrize(
    "foreign",
    [b"", b"{}", SECRET * 3, b"\x00" * 100, b"\x03" + b"x" * 100, b"\x02" + b"x" * 67, b"gAAAAABm" * 10],
)
def test_foreign_bytes(foreign: bytes) -> None:
    """Bytes that we did not seal raise ForeignFormat, not Tampered."""
    with pytest.raises(ForeignFormat) as refusal:
        opened([KEY], foreign)
    assert "r1" in str(refusal.value)
    assert key_id_of(foreign) is None


def test_an_unknown_key_is_named_by_its_id() -> None:
    """The message tells the operator which key to add again and for which record. It shows no key."""
    blob = seal([FOREIGN_KEY])
    with pytest.raises(UnknownKey) as refusal:
        opened([KEY, OLD_KEY], blob)
    assert Keyring([FOREIGN_KEY]).key_ids[0] in str(refusal.value)
    assert refusal.value.registration_id == "r1"


def test_no_error_shows_a_secret() -> None:
    """If a record does not open, neither the message nor the traceback shows a key or the content."""
    for blob in (seal([KEY])[:5], seal([KEY])[:-1], seal([FOREIGN_KEY])):
        with pytest.raises(RecordUnreadable) as refusal:
            opened([KEY], blob)
        shown = "".join(traceback.format_exception(refusal.value)) + repr(refusal.value)
        assert "fake-secret" not in shown
        assert not any(key in shown for key in (KEY, OLD_KEY, FOREIGN_KEY))
        assert isinstance(refusal.value, StorageUnavailable)
        assert refusal.value.answer == StorageUnavailable._public_text


VECTORS: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[2] / "docs" / "sealing.md")
    .read_text(encoding="utf-8")
    .split("```json")[1]
    .split("```")[0]
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["blob"][:4] + vector["nonce"][:2])
def test_published_vectors(vector: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each blob on the page opens. Those of today's form are what the keyring makes with that nonce."""
    blob, plaintext = bytes.fromhex(vector["blob"]), bytes.fromhex(vector["plaintext"])
    place = {"registration_id": vector["registration_id"], "field": vector["field"]}
    keyring = Keyring([vector["key"]])
    assert keyring.open(blob, **place) == plaintext
    if blob[0] == 2:
        monkeypatch.setattr(os, "urandom", lambda length: bytes.fromhex(vector["nonce"]))
        assert keyring.seal(plaintext, **place) == blob


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["blob"][:4] + vector["nonce"][:2])
def test_a_reader_can_open_the_vectors_with_the_page_alone(vector: dict[str, str]) -> None:
    """The page's rules are enough: derive, put the associated data together, decrypt."""
    blob, nonce = bytes.fromhex(vector["blob"]), bytes.fromhex(vector["nonce"])

    def derive(info: bytes, length: int) -> bytes:
        extracted = hmac.digest(bytes(32), vector["key"].encode(), "sha256")
        return hmac.digest(extracted, info + b"\x01", "sha256")[:length]

    commitment = derive(b"ca_embed commitment", 32) if blob[0] == 2 else b""
    header = blob[:1] + derive(b"ca_embed key id", 8) + commitment
    assert blob.startswith(header + nonce)
    names = [vector["registration_id"].encode(), vector["field"].encode()]
    bound_to = header + b"".join(len(name).to_bytes(4, "big") + name for name in names)
    cipher = AESGCM(derive(b"ca_embed seal", 32))
    assert cipher.decrypt(nonce, blob[len(header + nonce) :], bound_to).hex() == vector["plaintext"]


def test_repr_shows_ids_only() -> None:
    """A keyring shows only the ids of its keys, in a log or a debugger."""
    keyring = Keyring([KEY, OLD_KEY])
    assert repr(keyring) == f"<Keyring {keyring.key_ids[0]}, {keyring.key_ids[1]}>"
    assert "fake" not in repr(vars(keyring))


def test_generated_keys() -> None:
    """A generated key is new each time, long, and fits an environment variable."""
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) == 43 and key.isascii() and not key.split()[1:] for key in keys)
