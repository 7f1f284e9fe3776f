"""vectors.json: both doors answer each delivery as the file says, and a wrong receiver does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.doors.clients import Answer
from tests.doors.fixtures import ClientOf
from tests.flow.kit import Clock, build

ROOT = Path(__file__).parents[2]
FILE = json.loads((ROOT / "vectors.json").read_text(encoding="utf-8"))
NOW = 1_800_000_000


def delivery(vector: dict[str, Any]) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body by the rules of docs/vectors.md, written anew here."""
    body = base64.b64decode(vector["body"]).ljust(vector["length"])
    stamps = [
        re.sub(r"{now([+-]\d+)?}", lambda m: str(NOW + int(m[1] or 0)), one) for one in vector["timestamps"]
    ]
    first = stamps[0] if stamps else str(NOW)
    mac = hmac.new(
        vector["token"].encode(), first.encode("latin-1") + b"." + body, hashlib.sha256
    ).hexdigest()
    claims = [one.replace("{mac}", mac).replace("{MAC}", mac.upper()) for one in vector["signatures"]]
    headers = [("X-CA-Timestamp", one) for one in stamps] + [("X-CA-Signature", one) for one in claims]
    return [("Content-Type", "application/json"), *headers], body


def answers(client_of: ClientOf) -> dict[str, Answer]:
    """Send all deliveries in their order, and return the answers by name."""
    client = client_of(build(partner_token=FILE["token"], clock=Clock(NOW)))
    found = {}
    for vector in FILE["deliveries"]:
        headers, body = delivery(vector)
        found[vector["name"]] = client.request("POST", "/webhook", headers=headers, body=body)
    return found


def wrong(found: dict[str, Answer]) -> set[str]:
    """Return the names of the deliveries that are not answered as the file says."""
    return {
        vector["name"]
        for vector in FILE["deliveries"]
        for answer in [found[vector["name"]]]
        if (answer.status, answer.json.get("code", answer.json["status"]))
        != (vector["status"], vector["answer"])
        or vector["accepted"] != (200 <= answer.status < 300)
    }


def test_both_doors_answer_as_the_file_says(client_of: ClientOf) -> None:
    """Each of at least 118 deliveries gets its status and its word."""
    names = [vector["name"] for vector in FILE["deliveries"]]
    assert len(names) == len(set(names)) >= 118
    assert wrong(answers(client_of)) == set()


@pytest.mark.parametrize(
    ("check", "broken", "found"),
    [
        ("hmac.compare_digest", lambda *_: True, {"token-other", "signature-zeros"}),
        ("is_registration_id", lambda value: isinstance(value, str), {"field-registration_id-0"}),
    ],
)
def test_a_wrong_receiver_is_found(
    client_of: ClientOf,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    broken: Callable[..., Any],
    found: set[str],
) -> None:
    """A receiver without a check fails the deliveries that are about it, and not the plain one."""
    monkeypatch.setattr(f"ca_embed._webhook.{check}", broken)
    failed = wrong(answers(client_of))
    assert found <= failed
    assert "plain" not in failed


def test_the_file_is_what_the_program_writes() -> None:
    """vectors.json is up to date."""
    program = "import sys; sys.path.insert(0, 'tools'); import vectors; print(vectors.document(), end='')"
    made = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert made.stdout == (ROOT / "vectors.json").read_text(encoding="utf-8")
