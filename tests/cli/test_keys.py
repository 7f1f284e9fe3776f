"""`generate-key`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ca_embed.keyring import Keyring

Run = Callable[..., Any]


def test_prints_a_key(run: Run) -> None:
    """The key is all there is on stdout, another one each time, and good for a keyring."""
    first, second = run("generate-key"), run("generate-key")

    assert first.code == 0
    assert first.out.count("\n") == 1
    assert first.out != second.out
    assert len(Keyring([first.out.strip(), second.out.strip()]).key_ids) == 2


def test_says_what_to_do_with_it(run: Run) -> None:
    """Where it belongs is said on stderr, without the key."""
    ran = run("generate-key")

    assert "CA_EMBED_ENCRYPTION_KEYS" in ran.err
    assert ran.out.strip() not in ran.err


def test_json(run: Run) -> None:
    """With --json it is one JSON document."""
    assert len(json.loads(run("generate-key", "--json").out)["encryption_key"]) > 40
