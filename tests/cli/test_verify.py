"""`verify`: the checks of a captured webhook."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from ca_embed._webhook import sign

Run = Callable[..., Any]

NEW, OLD = "fake-partner-token-new", "fake-partner-token-old"
SECRET = "fake-app-secret"
EVENT = {
    "event": "whatsapp.registration.completed",
    "registration_id": "abc123def456ghi789jkl0",
    "partner_user_id": "user_456",
    "app_id": "ca_app_123",
    "app_secret": SECRET,
    "phone": "421233221242",
    "completed_at": "2026-07-04T10:00:00+00:00",
}
BODY = json.dumps(EVENT).encode()


@pytest.fixture
def check(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Verify a body with the tokens as the only settings, and check that no secret is printed."""
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", f"{NEW} {OLD}")

    def verify(body: bytes = BODY, *more: str, token: str = NEW, **sent: Any) -> Any:
        at = sent.get("timestamp", int(time.time()))
        signature = sent.get("signature") or sign(body, at if isinstance(at, int) else 0, token)
        (tmp_path / "body.json").write_bytes(sent.get("arrived", body))
        ran = run(
            "verify", f"--timestamp={at}", f"--signature={signature}", str(tmp_path / "body.json"), *more
        )
        assert not [secret for secret in (SECRET, NEW, OLD) if secret in ran.out + ran.err]
        return ran

    return verify


def test_a_good_one(check: Run) -> None:
    """A good webhook exits with 0, and its event is shown with the secret masked."""
    ran = check()
    shown = dict(line.split(maxsplit=1) for line in ran.out.splitlines())

    assert ran.code == 0
    assert (shown["valid"], shown["reason"]) == ("yes", "ok")
    assert (shown["registration_id"], shown["app_id"]) == (EVENT["registration_id"], EVENT["app_id"])
    assert shown["app_secret"] == "<hidden>"
    assert "mismatched_session" in ran.err


def test_the_storage_is_not_asked(check: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is not compared with the session, and the output says that the storage is not looked at."""
    monkeypatch.delenv("CA_EMBED_STORAGE", raising=False)
    ran = check(resigned(partner_user_id="another-user"))

    assert ran.code == 0
    assert "not looked at" in ran.err


def test_says_which_token_signed(check: Run) -> None:
    """Every token is tried, and the output names the right one by its place."""
    shown = json.loads(check(BODY, "--json", token=OLD).out)

    assert (shown["valid"], shown["signed_with"]) == (True, "partner token 2 of 2")


def resigned(**changes: object) -> bytes:
    """Return the event with other fields; the check signs it."""
    return json.dumps({**EVENT, **changes}).encode()


@pytest.mark.parametrize(
    ("body", "how", "reason"),
    [
        (BODY, {"signature": "sha256=" + "0" * 64}, "bad_mac"),
        (BODY, {"token": "fake-token-unknown"}, "bad_mac"),
        (BODY, {"arrived": BODY.replace(b"user_456", b"user_457")}, "bad_mac"),
        (BODY, {"signature": "sha1=abc"}, "bad_shape"),
        (BODY, {"timestamp": "\uff11\uff12"}, "bad_shape"),
        (BODY, {"timestamp": " 12"}, "bad_shape"),
        (BODY, {"timestamp": 1}, "stale"),
        (BODY, {"timestamp": 4_000_000_000}, "stale"),
        (BODY, {"timestamp": 999_999_999_999}, "stale"),
        (b"[1, 2", {}, "bad_json"),
        (resigned(app_id=7), {}, "bad_payload"),
        (resigned(registration_id="../x"), {}, "bad_payload"),
        (b" " * 70_000, {}, "too_large"),
    ],
)  # fmt: skip
def test_which_check_fails(check: Run, body: bytes, how: dict[str, Any], reason: str) -> None:
    """A bad webhook exits with 1, with the same reason as in the endpoint's log."""
    ran = check(body, "--json", **how)
    shown = json.loads(ran.out)

    assert ran.code == 1
    assert (shown["valid"], shown["reason"]) == (False, reason)


@pytest.mark.parametrize(
    ("name", "words"), [("timestamp", "X-CA-Timestamp"), ("signature", "X-CA-Signature")]
)
def test_a_missing_header(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    """The message names a missing header."""
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", NEW)
    (tmp_path / "body").write_bytes(BODY)
    other = {"timestamp": "--signature", "signature": "--timestamp"}[name]
    ran = run("verify", other, "1", str(tmp_path / "body"), "--json")

    assert json.loads(ran.out)["message"] == f"{words} is missing"


def test_an_unknown_event(check: Run) -> None:
    """An authentic event of another type is answered with 200, so it is good."""
    ran = check(resigned(event="whatsapp.number.blocked"), "--json")

    assert ran.code == 0
    assert json.loads(ran.out)["reason"] == "ignored"


def test_an_old_capture(check: Run) -> None:
    """A webhook is checked as of now, or as of the time in --at."""
    now = int(time.time())
    late = check(BODY, "--json", timestamp=now - 1000)
    in_time = check(BODY, "--json", "--at", str(now - 990), timestamp=now - 1000)
    by_iso_time = check(BODY, "--json", "--at", "2026-07-04T10:00:09Z", timestamp=1783159200)

    assert "in the past" in json.loads(late.out)["message"]
    assert "replay window is 300 s" in json.loads(late.out)["message"]
    assert json.loads(late.out)["registration_id"] == EVENT["registration_id"]
    assert (in_time.code, by_iso_time.code) == (0, 0)
    assert json.loads(by_iso_time.out)["judged_at"] == "2026-07-04T10:00:09+00:00"


def test_an_added_line_break(check: Run) -> None:
    """A line break that the capturing tool added is recognised, but the webhook stays bad."""
    ran = check(BODY, arrived=BODY + b"\n")

    assert ran.code == 1
    assert "capture has added" in ran.out


# --- a whole request in a file -------------------------------------------------------------------


def request(body: bytes, *lines: str, line_break: str = "\r\n") -> bytes:
    """Return a request as it is captured."""
    return (line_break.join(lines) + line_break * 2).encode() + body


def signature_lines(body: bytes = BODY) -> tuple[str, str]:
    """Return the two header lines that sign the body now."""
    now = int(time.time())
    return f"x-ca-timestamp: {now}", f"X-CA-Signature: {sign(body, now, NEW)}"


@pytest.fixture
def check_http(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Verify a request in a file."""
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", NEW)

    def verify(raw: bytes) -> Any:
        (tmp_path / "request.http").write_bytes(raw)
        return run("verify", "--json", "--http", str(tmp_path / "request.http"))

    return verify


@pytest.mark.parametrize("line_break", ["\r\n", "\n"])
@pytest.mark.parametrize("first", [(), ("POST /chatarchitect/webhook HTTP/1.1",)])
def test_http(check_http: Run, first: tuple[str, ...], line_break: str) -> None:
    """A request is read with and without its request line, with either line break."""
    lines = (*first, "Host: crm.example", *signature_lines())

    assert json.loads(check_http(request(BODY, *lines, line_break=line_break)).out)["reason"] == "ok"


def test_http_content_length(check_http: Run) -> None:
    """The body ends at Content-Length; a shorter capture is refused."""
    lines = (f"Content-Length: {len(BODY)}", *signature_lines())

    assert check_http(request(BODY + b"\n", *lines)).code == 0
    cut_off = check_http(request(BODY[:-1], *lines))
    assert (cut_off.code, cut_off.out) == (2, "")
    assert "cut off" in cut_off.err


def test_http_repeated_header(check_http: Run) -> None:
    """A repeated header is wrong, as at the endpoint."""
    shown = json.loads(check_http(request(BODY, "X-CA-Timestamp: 1", *signature_lines())).out)

    assert (shown["reason"], shown["message"]) == ("bad_shape", "X-CA-Timestamp is repeated")


def test_http_without_headers(check_http: Run) -> None:
    """A body alone is a request whose headers are missing."""
    assert json.loads(check_http(BODY).out)["message"] == "X-CA-Timestamp is missing"


def test_stdin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file - is stdin."""
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", NEW)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(request(BODY, *signature_lines()))))

    assert run("verify", "--http", "-").code == 0


@pytest.mark.parametrize(
    "arguments", [(), ("--http", "a", "b"), ("--timestamp", "1"), ("--at", "yesterday", "--http", "a")]
)
def test_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """Arguments that do not name one capture are wrong usage."""
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", NEW)

    assert run("verify", *arguments).code == 2


def test_no_such_file(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A missing file is named."""
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", NEW)
    ran = run("verify", "--http", str(tmp_path / "nothing"))

    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "nothing: No such file" in ran.err
