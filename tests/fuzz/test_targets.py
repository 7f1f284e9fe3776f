"""A short form of `make fuzz`: each target over its seeds and small changes of them."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from ca_embed import _webhook
from ca_embed.errors import InvalidPayload
from ca_embed.http import _sessions
from tests.fuzz import targets
from tests.fuzz.targets import TARGETS

FOUND = Path(__file__).parent / "found"  # inputs that once broke a promise, a folder for each target
PIECES = [
    b"",
    b"\0",
    b"\n",
    b"\xff",
    b"-1",
    b"9" * 30,
    b"[" * 900,
    b'"',
    b"{}",
    b"null",
    b"\r\n",
    b"@",
    b"\\ud800",
]


def changed(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one to four small changes."""
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(data))
        data = data[:place] + chance.choice(PIECES) + data[place + chance.choice([0, 0, 1, 4, 20]) :]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    """No input breaks the promise of a target."""
    chance = random.Random(zlib.crc32(name.encode()))
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)
        for _ in range(40):
            TARGETS[name].run(changed(seed, chance))


@pytest.mark.parametrize(
    "path", sorted(FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_found(path: Path) -> None:
    """An input that once broke a promise breaks it no more."""
    TARGETS[path.parent.name.replace("_", " ")].run(path.read_bytes())


def test_a_lax_verifier_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target finds a verifier that does not compare, and one that refuses what is right."""
    forged, right = b"1800000000\0sha256=" + b"0" * 64 + b"\0{}", b"1800000000\0@\0{}"
    for equal, seed in ((True, forged), (False, right)):
        monkeypatch.setattr(_webhook.hmac, "compare_digest", lambda *_, equal=equal: equal)
        with pytest.raises(AssertionError):
            targets.signature(seed)


def test_a_lax_reader_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target finds a reader that lets another error out."""

    def broken(*_: object) -> None:
        raise KeyError("event")

    monkeypatch.setattr(_webhook, "parse_object", broken)
    with pytest.raises(KeyError):
        targets.webhook_body(TARGETS["payload"].seeds[0])


def test_an_unlisted_response_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target finds a response that the OpenAPI document does not have."""

    def broken(*_: object) -> None:
        raise InvalidPayload("not an error of this route")

    monkeypatch.setattr(_sessions, "require_allowed_origin", broken)
    with pytest.raises(AssertionError):
        targets.routes(b"GET /sessions\n\n")
