"""The lines of the log: their fields as attributes, whom they name, and how to see them."""

from __future__ import annotations

import ast
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ca_embed
from ca_embed.sandbox import Sandbox
from tests.doors.clients import WsgiClient
from tests.doors.fixtures import ClientOf
from tests.flow.kit import USER, Clock, at_sandbox, build, closing, delivery, signed, store_session
from tests.markdown import python_blocks

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
FIELDS = ("reason", "registration_id", "event_id", "probe")


def calls(path: Path) -> Iterator[ast.Call]:
    """The logging calls of a file whose text has a reason."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(ast.Attribute(ast.Name("logger")), arguments):
                texts = [one.value for one in arguments if isinstance(one, ast.Constant)]
                if any(isinstance(text, str) and "reason=" in text for text in texts):
                    yield node


def test_each_call_has_fields() -> None:
    """Each logging call with a reason has `extra`, made by `fields`."""
    package = Path(ca_embed.__file__).parent
    found = [(path, call) for path in package.rglob("*.py") for call in calls(path)]
    assert len(found) >= 15
    assert [
        f"{path.name}:{call.lineno}"
        for path, call in found
        if "extra" not in {one.arg for one in call.keywords}
    ] == []


def named(record: logging.LogRecord) -> dict[str, str]:
    """The fields that the text of a line names."""
    return {name: value.rstrip(";") for name, value in re.findall(r"(\w+)=(\S+)", record.getMessage())}


def test_fields(client_of: ClientOf, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """Each line has its fields as attributes, with the values in its text, and never a user id."""
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock)

    @embed.on_completed(name="connect")
    def connect(registration: Any, credentials: Any) -> None:
        raise KeyError

    client = client_of(embed)
    with caplog.at_level(logging.DEBUG, "ca_embed"):
        registration_id = client.post("/sessions").json["registration_id"]
        sandbox.complete(registration_id, deliver=False)
        webhook = sandbox.signed_webhook(registration_id, timestamp=int(clock()))
        client.deliver(webhook)
        client.deliver(webhook)
        client.deliver((webhook[0], b"{}"))
        client.deliver(signed(b'{"event": "new"}', token=sandbox.partner_token, at=clock()))
        client.get("/nowhere")
        open_id = client.post("/sessions").json["registration_id"]
        clock.advance(6)
        sandbox.knobs.api_status = 500
        embed.reconcile()
    records = [record for record in caplog.records if record.name == "ca_embed"]
    reasons = {getattr(record, "reason", None) for record in records}
    assert reasons >= {"created", "accepted", "duplicate", "bad_mac", "ignored", "not_found", "failed"}
    for record in records:
        text = named(record)
        for name in FIELDS:
            assert name not in text or getattr(record, name) == text[name]
        assert not hasattr(record, "user_id")
        assert USER not in str(record.__dict__)
    accepted, *_ = [record for record in records if record.__dict__["reason"] == "accepted"]
    assert accepted.__dict__["registration_id"] == registration_id
    assert accepted.__dict__["event_id"] == webhook[0]["X-CA-Event-Id"]
    assert open_id in {record.__dict__.get("registration_id") for record in records}


def test_a_refusal_names_its_registration(
    client_of: ClientOf, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line about a webhook that is refused for what is stored has the registration as an attribute."""
    clock = Clock()
    embed = build(clock=clock)
    store_session(embed, "mixed-up", expires_at=clock() + 900)
    client = client_of(embed)
    client.deliver(delivery(at=clock(), registration_id="mixed-up", partner_user_id="another"))
    monkeypatch.setattr("ca_embed._vault.ledger._GIVE_UP_AFTER", 0.0)
    monkeypatch.setattr(embed._core.ledger._storage, "save", lambda _record: False)
    client.deliver(delivery(at=clock(), registration_id="mixed-up", partner_user_id=USER))
    by_reason = {record.__dict__["reason"]: record for record in caplog.records}
    for reason in ("mismatched", "storage_unavailable"):
        assert by_reason[reason].__dict__["registration_id"] == "mixed-up"


@pytest.mark.parametrize(
    ("agent", "marked"),
    [("ca_embed/0.1.0 doctor", True), ("ca_embed/0.1.0 doctor; x", False), ("curl/8", False)],
)
def test_the_doctor_is_marked(
    client_of: ClientOf, caplog: pytest.LogCaptureFixture, agent: str, marked: bool
) -> None:
    """A line about a request of the doctor says so, in its text and as an attribute."""
    client = client_of(build())
    client.post("/webhook", b"{}", User_Agent=agent)
    (record,) = [record for record in caplog.records if "reason=bad_shape" in record.getMessage()]
    assert record.getMessage().endswith(" probe=doctor") == marked
    assert (getattr(record, "probe", None) == "doctor") == marked


@pytest.mark.parametrize(
    ("origin", "shown"),
    [
        ("https://evil.example", "'https://evil.example'"),
        ("null", "'null'"),
        ("https://\u00fc.example", "'https://\\xfc.example'"),
        ("https://" + "x" * 5000, "'https://" + "x" * 192 + "'"),
    ],
)
def test_the_forbidden_origin(caplog: pytest.LogCaptureFixture, origin: str, shown: str) -> None:
    """The line names the origin, bounded and in ASCII. The response does not."""
    with closing(embed := build()):
        answer = WsgiClient(embed.wsgi).post("/sessions", Origin=origin)
    assert answer.code == "forbidden_origin"
    assert b"example" not in answer.body
    (line,) = [line for line in caplog.messages if "reason=forbidden_origin" in line]
    assert f"origin {shown} is not" in line


# --- how to see them -----------------------------------------------------------------------------

BLOCKS = python_blocks(PAGE.partition("## Switching the log on")[2].partition("\n## ")[0])
LOG = 'import logging; logging.getLogger("ca_embed").info("webhook reason=accepted")'
WAYS = {
    "plain": BLOCKS[0],
    "flask": f"{BLOCKS[1]}\nfrom flask import Flask\napp = Flask(__name__)",
    "django": f"{BLOCKS[2]}\nfrom django.conf import settings\nimport django\n"
    "settings.configure(LOGGING=LOGGING)\ndjango.setup()",
    "uvicorn": f"{BLOCKS[3]}\nuvicorn.Config('main:app', log_config=LOGGING_CONFIG)",
}


@pytest.mark.parametrize("way", WAYS)
def test_switching_the_log_on(way: str) -> None:
    """Each way on the page shows a line of the level INFO."""
    done = subprocess.run(
        [sys.executable, "-c", f"__name__ = 'crm'\n{WAYS[way]}\n{LOG}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("webhook reason=accepted") == 1
