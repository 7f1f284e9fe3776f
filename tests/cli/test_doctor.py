"""`doctor`."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Request, Response

from ca_embed._cli.doctor.place import file_system_of
from ca_embed._vault.keyring import Keyring
from ca_embed._webhook import Verifier, sign
from ca_embed.assets._script import javascript
from ca_embed.errors import StorageUnavailable
from ca_embed.sandbox._server import Server
from ca_embed.storage import SQLiteStorage
from tests.flow.kit import wait_until

Run = Callable[..., Any]
View = Callable[[Request], Response]

ALL = (
    "settings", "storage", "debts", "Partner API", "clock", "partner_token[0]", "partner_token[1]",
    "mount: health", "mount: asset", "mount: webhook", "mount: delivery", "pages",
)  # fmt: skip


@pytest.fixture(autouse=True)
def on_a_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine that runs the tests may be a container. To the doctor it has a disk."""
    monkeypatch.setattr("ca_embed._cli.doctor.place._MOUNTS", tmp_path / "no mounts")


@pytest.fixture(autouse=True)
def in_use(world: Any) -> None:
    """The application has run before, so its storage exists."""
    world.embed.registrations()


@pytest.fixture
def examine(operate: Run) -> Callable[..., dict[str, dict[str, Any]]]:
    """Run the doctor, check that the exit code fits, and return its findings by check."""

    def run_and_read(*arguments: str) -> dict[str, dict[str, Any]]:
        ran = operate("doctor", "--json", *arguments)
        findings = [json.loads(line) for line in ran.out.splitlines()]
        assert {finding["result"] for finding in findings} <= {"ok", "warning", "failed", "skipped"}
        for finding in findings:
            assert bool(finding["advice"]) == (finding["result"] in ("failed", "warning"))
            assert finding["message"]
            if finding["check"].startswith("mount: ") and finding["result"] == "failed":
                assert finding["message"].startswith("http://127.0.0.1:")
        assert ran.code == (1 if "failed" in {finding["result"] for finding in findings} else 0)
        return {finding["check"]: finding for finding in findings}

    return run_and_read


def failed(findings: dict[str, dict[str, Any]]) -> set[str]:
    """Return the names of the checks that failed."""
    return {check for check, finding in findings.items() if finding["result"] == "failed"}


def told(finding: dict[str, Any]) -> str:
    """Return the message and the advice of a finding."""
    return f"{finding['message']}. {finding['advice']}"


@pytest.fixture
def served() -> Iterator[Callable[[View], str]]:
    """Serve small applications of a test. Return the URL of each."""
    servers: list[Server] = []

    def serve(view: View) -> str:
        server = Server("127.0.0.1", 0)
        server.serve(Request.application(view))
        servers.append(server)
        return server.base_url

    yield serve
    for server in servers:
        server.close()


def test_all_is_well(operate: Run) -> None:
    """Without problems, every check has a line, and none fails."""
    ran = operate("doctor")
    lines = [(line[:8].strip(), line[10:26].strip()) for line in ran.out.splitlines()]

    assert (ran.code, ran.err) == (0, "")
    assert lines == [("ok", check) for check in ALL[:-1]] + [("left out", "pages")]


def test_its_requests_are_marked(operate: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Each line of the log about a request of the doctor says so."""
    operate("doctor")
    lines = [record for record in caplog.records if record.getMessage().startswith("webhook reason=")]

    assert [record.__dict__["reason"] for record in lines] == ["bad_shape"]
    assert all(record.getMessage().endswith(" probe=doctor") for record in lines)


def test_json(examine: Run) -> None:
    """With --json there is one JSON document per check."""
    findings = examine()

    assert tuple(findings) == ALL
    assert findings["partner_token[0]"] == {
        "check": "partner_token[0]",
        "result": "ok",
        "message": "is accepted",
        "advice": None,
    }


def test_the_hosts_own_embed(examine: Run, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --app the host's own Embed is checked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "fake_clinic.py").write_text(
        "import time\nfrom ca_embed import Embed\nembed = Embed.from_env(clock=lambda: time.time() + 999)\n"
    )
    findings = examine("--app", "fake_clinic:embed")
    sys.modules.pop("fake_clinic")

    assert failed(findings) == {"clock", "mount: delivery"}


# --- settings, storage -----------------------------------------------------------------------------


def test_settings(operate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each missing or wrong setting has a line, which does not show its value."""
    monkeypatch.delenv("CA_EMBED_BASE_URL")
    monkeypatch.setenv("CA_EMBED_PUBLIC_URL", "http://fake-9.example")
    monkeypatch.setenv("CA_EMBED_STORAGE", "fake-9")
    ran = operate("doctor")

    assert ran.code == 1
    assert [line[:8].strip() for line in ran.out.splitlines()] == ["FAIL"] * 3 + ["left out"]
    assert "CA_EMBED_BASE_URL" in ran.out
    assert "fake-9" not in ran.out
    assert ran.err == "Failed checks: 3. Fix them, and run ca-embed doctor again.\n"


def test_storage_that_fails(examine: Run, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing storage fails its own check, and the other checks are made."""
    monkeypatch.setenv("CA_EMBED_STORAGE", f"sqlite:///{tmp_path}/no/such/folder/r.db")
    findings = examine()

    assert failed(findings) == {"storage"}
    assert "writable" in findings["storage"]["advice"]


@pytest.mark.parametrize("url", ["sqlite:///{}/mistyped.db", "file:{}/mistyped"])
def test_a_storage_that_does_not_exist(
    examine: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """It is a warning: a new installation has none yet. The doctor creates none: the path may be wrong."""
    before = sorted(tmp_path.iterdir())
    monkeypatch.setenv("CA_EMBED_STORAGE", url.format(tmp_path))
    finding = examine()["storage"]
    assert finding["result"] == "warning"
    assert sorted(tmp_path.iterdir()) == before
    assert "mistyped" in finding["message"]
    assert "does not exist yet" in finding["message"]


def test_a_storage_that_fails_later(examine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the storage fails after its check, the doctor says so and makes the other checks."""

    def fail(*_: Any, **__: Any) -> Any:
        raise StorageUnavailable("the disk has gone")

    monkeypatch.setattr(SQLiteStorage, "due", fail)
    findings = examine()
    assert failed(findings) == {"storage"}
    assert "the disk has gone" in findings["storage"]["message"]
    assert "mount: delivery" in findings


def test_keys_that_do_not_fit(examine: Run, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the keys do not open the records, the message has the id of the right key."""
    (key_id,) = Keyring([world.environment["CA_EMBED_ENCRYPTION_KEYS"]]).key_ids
    world.completed()
    monkeypatch.setenv("CA_EMBED_ENCRYPTION_KEYS", "another-fake-encryption-key")
    findings = examine()

    assert failed(findings) == {"storage"}
    assert f"sealed under key {key_id}" in findings["storage"]["message"]
    assert "encryption keys" in findings["storage"]["advice"]


def test_a_storage_that_forgets(examine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage in memory fails its check, because it forgets everything at a restart."""
    monkeypatch.setenv("CA_EMBED_STORAGE", "memory:")
    findings = examine()

    assert failed(findings) == {"storage"}
    assert "forgets" in findings["storage"]["message"]
    assert "CA_EMBED_STORAGE" in findings["storage"]["advice"]


def test_handlers_that_fail(examine: Run, world: Any) -> None:
    """A handler that fails is a warning."""

    @world.embed.on_completed
    def connect(_registration: Any, _credentials: Any) -> None:
        raise RuntimeError("fake")

    world.completed()
    wait_until(lambda: examine()["debts"]["result"] == "warning")
    assert "tried again: 1" in examine()["debts"]["message"]


def test_nothing_reconciles(
    examine: Run, world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that has been due for long shows that no reconcile runs."""
    world.session()
    assert "nothing waits too long" in examine()["debts"]["message"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "fake_clinic.py").write_text(
        "import time\nfrom ca_embed import Embed\nembed = Embed.from_env(clock=lambda: time.time() + 2000)\n"
    )
    findings = examine("--app", "fake_clinic:embed")
    sys.modules.pop("fake_clinic")

    assert "due for over 15 minutes: 1" in findings["debts"]["message"]


def test_many_debts(examine: Run, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor opens a bounded number of records, and says "or more" about the rest."""
    monkeypatch.setattr("ca_embed._cli.doctor.debts._MOST", 2)

    @world.embed.on_completed
    def connect(_registration: Any, _credentials: Any) -> None:
        raise RuntimeError("fake")

    for _ in range(4):
        world.completed()
    opened: list[str] = []
    open_one = Keyring.open

    def count(keyring: Keyring, document: bytes, *, registration_id: str, field: str) -> bytes:
        opened.append(registration_id)
        return open_one(keyring, document, registration_id=registration_id, field=field)

    monkeypatch.setattr(Keyring, "open", count)
    assert "tried again: 2 or more" in examine()["debts"]["message"]
    assert len([one for one in opened if not one.startswith("~")]) == 2


def test_registrations_are_left_as_they_are(examine: Run, world: Any) -> None:
    """The doctor changes no registration."""
    world.completed()
    world.session()
    storage = SQLiteStorage(world.environment["CA_EMBED_STORAGE"].removeprefix("sqlite:///"))
    before = storage.list(limit=9)
    examine()

    assert storage.list(limit=9) == before
    storage.close()


def test_a_place_that_forgets(
    examine: Run, world: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage in a container's layer works, and the doctor warns."""
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr("ca_embed._cli.doctor.place._MOUNTS", mounts)
    mounts.write_text("1 0 0:1 / / rw - overlay overlay rw\n")
    findings = examine()
    assert failed(findings) == set()
    assert findings["storage"]["result"] == "ok"
    assert findings["storage: place"]["result"] == "warning"
    assert "(overlay)" in findings["storage: place"]["message"]
    assert "volume" in findings["storage: place"]["advice"]

    monkeypatch.setenv("CA_EMBED_STORAGE", f"file:{tmp_path}/folder")
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / {tmp_path} rw - tmpfs x rw\n")
    assert "at a restart" in examine()["storage: place"]["message"]

    mounts.write_text(f"1 0 0:1 / / rw - overlay x rw\n2 1 0:2 / {tmp_path} rw - ext4 /dev/x rw\n")
    assert "storage: place" not in examine()
    mounts.unlink()
    assert "storage: place" not in examine()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/data/r.db", "ext4"), ("/database/r.db", "overlay"), ("/a b/r", "tmpfs"), ("/run/r", "ext4")],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    """The longest mount point above the path counts, and of two at one point the later."""
    mounts = (
        "1 0 0:1 / / rw shared:1 - overlay overlay rw\n2 1 0:2 / /data rw - ext4 /dev/x rw\n"
        "3 1 0:3 / /a\\040b rw master:2 - tmpfs tmpfs rw\n4 1 0:4 / /run rw - tmpfs x rw\nnonsense\n"
        "5 4 0:5 / /run rw - ext4 /dev/y rw\n"
    )
    assert file_system_of(Path(path), mounts) == kind


@pytest.mark.parametrize("argument", ["partner_token", "encryption_keys"])
def test_a_comma(operate: Run, argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret with a comma inside may be two. The doctor warns, and does not show it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    module = f"comma_{argument}"
    (tmp_path / f"{module}.py").write_text(
        "from ca_embed import Embed\n"
        f"embed = Embed.from_env({argument}=['fake-secret-of-texts,fake-secret-of-tests'])\n"
    )
    ran = operate("doctor", "--app", f"{module}:embed")
    (line,) = [line for line in ran.out.splitlines() if line.startswith("WARN")]
    assert "[0] has a comma inside" in line
    assert "white space" in line
    assert "fake-secret" not in ran.out


# --- the Partner API -------------------------------------------------------------------------------


def test_a_wrong_token(examine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each token is tried, and the message names a refused one by its place."""
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", "fake-partner-token-new fake-partner-token-unknown")
    findings = examine()

    assert failed(findings) == {"partner_token[1]"}
    assert "retired" in findings["partner_token[1]"]["advice"]


def test_no_server_at_base_url(examine: Run, world: Any) -> None:
    """Without a Partner API, the checks that need it are skipped, and the others are made."""
    world.sandbox.stop()
    findings = examine()

    assert failed(findings) == {"Partner API"}
    assert {check for check in ALL if findings[check]["result"] == "skipped"} == {
        "clock", "partner_token[0]", "partner_token[1]", "pages",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("knob", "value", "words"),
    [
        ("api_status", 500, "answers 500"),
        ("api_status", 404, "answers 404"),
        ("api_garbage", True, "answers 200"),
        ("api_redirect", True, "redirects to http://127.0.0.1"),
    ],
)
def test_something_else_at_base_url(examine: Run, world: Any, knob: str, value: Any, words: str) -> None:
    """A server that does not ask for a token is not the Partner API, and gets no token."""
    setattr(world.sandbox.knobs, knob, value)
    findings = examine()

    assert failed(findings) == {"Partner API"}
    assert words in findings["Partner API"]["message"]
    assert findings["partner_token[0]"]["result"] == "skipped"


@pytest.fixture
def date_of_others(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | Callable[[], str]], None]:
    """Set the Date header of the Partner API, and of every other server here.

    Called with a function, it lets each answer have the date that the function returns then.
    """

    def set_date(date: str | Callable[[], str]) -> None:
        handler = "werkzeug.serving.WSGIRequestHandler"
        tell = date if callable(date) else lambda: date
        monkeypatch.setattr(f"{handler}.date_time_string", lambda self, timestamp=None: tell())

    return set_date


@pytest.mark.parametrize(("seconds", "result"), [(-90, "failed"), (-30, "ok"), (30, "ok"), (90, "failed")])
def test_the_clock(examine: Run, date_of_others: Run, seconds: int, result: str) -> None:
    """A clock that differs from the Partner API's by more than a minute fails its check."""
    date_of_others(format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True))
    finding = examine()["clock"]

    assert finding["result"] == result
    assert ("behind" if seconds > 0 else "ahead of") in finding["message"]


def test_a_window_that_the_clock_uses_up(
    examine: Run, date_of_others: Run, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If less than half of the replay window is left, the doctor warns, with what is left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    date_of_others(lambda: format_datetime(datetime.now(UTC) - timedelta(seconds=40), usegmt=True))
    for window, result in ((50, "warning"), (300, "ok"), (20, "failed")):
        text = f"from ca_embed import Embed\nembed = Embed.from_env(replay_window={window})\n"
        (tmp_path / f"fake_shop_{window}.py").write_text(text)
        finding = examine("--app", f"fake_shop_{window}:embed")["clock"]
        sys.modules.pop(f"fake_shop_{window}")

        assert finding["result"] == result
        if result == "warning":
            assert re.search(r"leaves webhooks \d+ s of the replay_window of 50 s", finding["message"])


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_no_clock(examine: Run, date_of_others: Run, date: str) -> None:
    """Without a readable Date of the Partner API, the clock is not checked."""
    date_of_others(date)

    assert examine()["clock"]["result"] == "skipped"


# --- the mount -------------------------------------------------------------------------------------


@pytest.fixture
def behind(world: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[View], None]]:
    """Put a server before the mount. It answers some requests, and passes the others on."""
    servers: list[Server] = []

    def put(answer: Callable[[Request], Response | None]) -> None:
        server = Server("127.0.0.1", 0)
        server.serve(Request.application(lambda request: answer(request) or world.embed.wsgi))
        servers.append(server)
        monkeypatch.setenv("CA_EMBED_PUBLIC_URL", server.base_url)

    yield put
    for server in servers:
        server.close()


def redirect(location: str) -> Response:
    """Return a redirect."""
    return Response(status=302, headers={"Location": location})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Response("<h1>CSRF verification failed.</h1>", 403), "CSRF protection refuses it (403)"),
        (Response("The CSRF token is missing.", 400), "CSRF protection refuses it (400)"),
        (Response("Forbidden", 403), "login wall or firewall refuses it (403)"),
        (Response('<form><input name="csrf">', 401), "login wall or firewall refuses it (401)"),
        (redirect("/accounts/login/?next=/fake-9"), "login wall redirects to http"),
        (
            redirect("https://other.example/webhook?fake-9"),
            "redirects to https://other.example/webhook (302)",
        ),
        (Response(status=301), "redirects to nowhere"),
        (Response("Not found", 404), "nothing of ca_embed is mounted there (404)"),
        (Response("No", 405), "nothing of ca_embed is mounted there (405)"),
        (Response("Bad gateway", 502), "the server answers 502"),
        (Response("{}", 200), "another application"),
        (Response("no", 422), "another application"),
        (
            Response('{"status": "error", "code": "unreadable_body", "message": ""}', 400),
            "drops request bodies",
        ),
    ],
)
def test_before_the_webhook(examine: Run, behind: Any, answer: Response, words: str) -> None:
    """A server before the webhook is recognised by its response."""
    behind(lambda request: answer if request.path == "/webhook" else None)
    findings = examine()

    assert failed(findings) == {"mount: webhook"}
    assert words in told(findings["mount: webhook"])
    assert "fake-9" not in str(findings)


def test_redirects_are_not_followed(examine: Run, behind: Any) -> None:
    """A redirect is reported and not followed."""
    asked: list[str] = []

    def answer(request: Request) -> Response | None:
        asked.append(request.path)
        return redirect("/elsewhere")

    behind(answer)

    assert failed(examine()) == {"mount: health", "mount: asset", "mount: webhook"}
    assert "/elsewhere" not in asked
    assert asked.count("/webhook") == 1


@pytest.mark.parametrize("path", ["", "/chatarchitect/deeper"])
def test_another_path(examine: Run, world: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A public_url with a wrong path fails all checks of the mount, with advice about public_url."""
    origin = world.environment["CA_EMBED_PUBLIC_URL"].removesuffix("/chatarchitect")
    monkeypatch.setenv("CA_EMBED_PUBLIC_URL", origin + path)
    findings = examine()

    assert failed(findings) == {"mount: health", "mount: asset", "mount: webhook"}
    assert all("public_url" in findings[check]["advice"] for check in failed(findings))
    assert all("proxy strips" in findings[check]["advice"] for check in ("mount: health", "mount: webhook"))


def test_no_server_at_public_url(examine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the mount cannot be reached, one check fails, and the others are skipped."""
    monkeypatch.setenv("CA_EMBED_PUBLIC_URL", "http://127.0.0.1:9/chatarchitect")
    findings = examine()

    assert failed(findings) == {"mount: health"}
    assert findings["mount: webhook"]["result"] == "skipped"


def test_no_answer_in_time(examine: Run, behind: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount that does not respond in time fails its check."""
    monkeypatch.setattr("ca_embed._cli.doctor.web.ANSWER_SECONDS", 0.5)
    over = threading.Event()

    def answer(request: Request) -> Response | None:
        if request.path != "/health":
            return None
        over.wait(20)
        return Response()  # not the mount's answer: it would open the storage again after its end

    behind(answer)
    findings = examine()
    over.set()

    assert "no answer within 0.5 s" in findings["mount: health"]["message"]


@pytest.mark.parametrize("body", ["<p>Welcome", '{"status": "fine"}', '["ok"]'])
def test_another_application(examine: Run, behind: Any, body: str) -> None:
    """An application that answers every path is not taken for the mount."""
    behind(lambda request: Response(body))
    findings = examine()

    assert failed(findings) == {"mount: health", "mount: asset", "mount: webhook"}
    assert "another application" in findings["mount: health"]["message"]


def test_its_storage_fails(examine: Run, behind: Any) -> None:
    """If the storage of the mount fails, the message says so."""
    answer = Response('{"status": "error", "code": "storage_unavailable", "message": ""}', 503)
    behind(lambda request: answer if request.path == "/health" else None)
    findings = examine()

    assert failed(findings) == {"mount: health"}
    assert "503 storage_unavailable" in findings["mount: health"]["message"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Response(javascript().body + b" ", content_type="text/javascript"), "unchanged"),
        (Response(javascript().body, content_type="text/plain"), "Content-Type"),
        (Response('{"status": "error", "code": "not_found"}', 404), "hash"),
        (Response(repeat(b"x" * 65_536), content_type="text/javascript"), "unchanged"),
        (Response("", 404), "nothing of ca_embed"),
    ],
)
def test_the_asset(examine: Run, behind: Any, answer: Response, words: str) -> None:
    """A script that a browser would refuse fails its check, with the reason."""
    behind(lambda request: answer if request.path.startswith("/ca-embed.") else None)
    findings = examine()

    assert failed(findings) == {"mount: asset"}
    assert words in told(findings["mount: asset"])


# --- a signed delivery -----------------------------------------------------------------------------


def unwrapped(request: Request) -> None:
    """Parse and rewrite the body, as a proxy that reads JSON does."""
    body = json.dumps(json.loads(request.environ["wsgi.input"].read(request.content_length))).encode()
    request.environ.update({"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))})


def without_headers(request: Request) -> None:
    """Drop the signature headers, as a proxy may that does not know them."""
    del request.environ["HTTP_X_CA_TIMESTAMP"], request.environ["HTTP_X_CA_SIGNATURE"]


def swallowed(request: Request) -> None:
    """Lose a chunked body, as some servers do."""
    del request.environ["CONTENT_LENGTH"]
    request.environ.update({"wsgi.input": BytesIO(), "HTTP_TRANSFER_ENCODING": "chunked"})


def refused(status: int, code: str) -> Callable[[Request], Response]:
    """Return an error as ca_embed does."""
    return lambda request: Response(json.dumps({"status": "error", "code": code, "message": ""}), status)


@pytest.mark.parametrize(
    ("on_the_way", "words"),
    [
        (unwrapped, ("401 invalid_signature", "bad_mac", "changes bodies")),
        (without_headers, ("401 invalid_signature", "bad_shape", "drops")),
        (swallowed, ("400 unreadable_body", "chunked")),
        (refused(413, "body_too_large"), ("413", "client_max_body_size")),
        (refused(404, "not_found"), ("404 not_found", "public_url")),
        (lambda request: Response("<h1>Too large", 413), ("413", "client_max_body_size")),
        (lambda request: Response("Bad gateway", 502), ("the server answers 502", "log")),
        (lambda request: Response("Not found", 404), ("nothing of ca_embed is mounted there (404)", "Mount")),
        (lambda request: redirect("/webhook/"), ("redirects to", "follows no redirect")),
        (lambda request: Response('{"status": "accepted"}'), ("another application",)),
    ],
)
def test_on_the_way(examine: Run, behind: Any, on_the_way: Any, words: tuple[str, ...]) -> None:
    """If a signed delivery does not arrive unchanged, the finding says why and what to do."""
    behind(lambda request: on_the_way(request) if "X-CA-Signature" in request.headers else None)
    findings = examine()

    assert failed(findings) == {"mount: delivery"}
    assert [word for word in words if word not in told(findings["mount: delivery"])] == []


def test_it_is_delivered_as_by_chatarchitect(operate: Run, behind: Any, world: Any) -> None:
    """The delivery has the guide's headers, the newest token's signature, and an unknown event type."""
    seen: list[tuple[dict[str, str], bytes]] = []

    def look(request: Request) -> None:
        if "X-CA-Signature" in request.headers:
            body = request.environ["wsgi.input"].read(request.content_length)
            request.environ["wsgi.input"] = BytesIO(body)
            seen.append((dict(request.headers), body))

    behind(look)
    assert operate("doctor").code == 0
    ((headers, body),) = seen
    newest = world.embed._core.settings.tokens[0]
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Ca-Signature"] == sign(body, int(headers["X-Ca-Timestamp"]), newest)
    assert headers["X-Ca-Event-Id"] == "evt_doctor_1"
    assert json.loads(body)["event"] == "ca_embed.doctor"


def test_another_token_is_deployed(examine: Run, world: Any) -> None:
    """The newest token here must be among the deployed tokens."""
    world.embed._core = replace(
        world.embed._core, verifier=Verifier(world.embed._core.settings.tokens[1:], 300)
    )
    findings = examine()

    assert failed(findings) == {"mount: delivery"}
    assert "other partner tokens" in findings["mount: delivery"]["advice"]


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        ((-1000, -1000), r"\b(999|100\d) s ahead of the server's"),
        ((1000, 1000), r"\b(99\d|1000) s behind the server's"),
        ((-1000, 0), "does not tell"),
    ],
)
def test_the_servers_clock(
    examine: Run, world: Any, date_of_others: Run, ahead: tuple[float, float], words: str
) -> None:
    """A wrong clock of the server is recognised, with the difference if its Date shows it."""
    server, date = ahead
    world.embed._core = replace(world.embed._core, clock=lambda: time.time() + server)
    date_of_others(lambda: format_datetime(datetime.fromtimestamp(time.time() + date, UTC), usegmt=True))
    finding = examine()["mount: delivery"]

    assert finding["result"] == "failed"
    assert "401 stale_timestamp" in finding["message"]
    assert re.search(words, finding["message"])
    assert "NTP" in finding["advice"]


def test_nothing_signed_goes_elsewhere(examine: Run, behind: Any) -> None:
    """A server that does not refuse an unsigned webhook as ca_embed does gets no signed one."""
    signed: list[str] = []

    def answer(request: Request) -> Response | None:
        signed.extend(request.headers.getlist("X-CA-Signature"))
        return Response("{}") if request.path == "/webhook" else None

    behind(answer)

    assert examine()["mount: delivery"]["result"] == "skipped"
    assert signed == []


# --- pages -----------------------------------------------------------------------------------------


def test_pages(examine: Run, served: Any) -> None:
    """The headers of each page are checked; its query may hold a secret and is not shown."""
    good = served(lambda request: Response("", headers={"Cross-Origin-Opener-Policy": "unsafe-none"}))
    bad = served(lambda request: Response("", headers={"Cross-Origin-Opener-Policy": "same-origin"}))
    findings = examine("--page", f"{good}/numbers?fake-9", "--page", f"{bad}/numbers")

    assert failed(findings) == {f"page {bad}/numbers"}
    assert findings[f"page {good}/numbers"]["result"] == "ok"
    assert "pages" not in findings
    assert "fake-9" not in str(findings)


def test_every_problem_of_a_page(operate: Run, world: Any, served: Any) -> None:
    """Each wrong header has a line, also one that occurs twice."""
    headers = [
        ("Content-Security-Policy", "frame-src 'none'"),
        ("Content-Security-Policy", "img-src *"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]
    url = served(lambda request: Response("", headers=headers))
    ran = operate("doctor", "--page", url)
    lines = [line for line in ran.out.splitlines() if line.startswith("FAIL")]

    assert ran.code == 1
    assert len(lines) == 2
    assert "same-origin-allow-popups" in lines[0]
    assert f"Add {world.sandbox.base_url} to frame-src" in lines[1]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Content-Security-Policy", "sandbox", ("restricts the iframe too", "Add allow-")),
        ("Content-Security-Policy", "script-src 'none'", ("script-src blocks ca-embed.js", "Add 'self'")),
        ("Cross-Origin-Embedder-Policy", "require-corp", ("require-corp blocks the iframe", "Remove")),
        (
            "Permissions-Policy",
            'fullscreen=(self "https://a.example. b")',
            ("fullscreen=", "Send fullscreen="),
        ),
    ],
)
def test_advice_about_a_page(
    examine: Run, served: Any, name: str, value: str, words: tuple[str, str]
) -> None:
    """The message says what a header does, and the advice what to do."""
    url = served(lambda request: Response("", headers={name: value}))
    finding = examine("--page", url)[f"page {url}"]

    assert words[0] in finding["message"]
    assert finding["advice"].startswith(words[1])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (redirect("/login?next=fake-9"), "/login"),
        (Response("", 403), "answers 403"),
    ],
)
def test_a_page_that_does_not_show(examine: Run, served: Any, answer: Response, words: str) -> None:
    """A page behind a sign-in fails its check, with advice how to check it otherwise."""
    url = served(lambda request: answer)
    findings = examine("--page", url)

    assert failed(findings) == {f"page {url}"}
    assert words in findings[f"page {url}"]["message"]
    assert "check_host_headers" in findings[f"page {url}"]["advice"]
    assert "fake-9" not in str(findings)


def signed_in_only(request: Request) -> Response:
    """A page for signed-in users, and a sign-in whose headers are of another server."""
    if request.headers.get("Cookie") == "session=fake-cookie" and request.headers.get("X-Team") == "a: b":
        return Response("")
    return Response("", 401, headers={"Cross-Origin-Opener-Policy": "same-origin"})


def test_a_page_behind_a_sign_in(operate: Run, behind: Any, served: Any) -> None:
    """With --header a page behind a sign-in is checked. Only pages get the header."""
    cookies: list[str | None] = []
    behind(lambda request: cookies.append(request.headers.get("Cookie")))
    url = served(signed_in_only)
    headers = ("--header", "Cookie: session=fake-cookie", "--header", "X-Team:a: b")
    ran = operate("doctor", "--page", url, *headers)

    assert (ran.code, ran.err) == (0, "")
    assert f"page {url}" in ran.out
    assert "fake-cookie" not in ran.out
    assert set(cookies) == {None}


def test_a_page_that_needs_a_sign_in(examine: Run, served: Any) -> None:
    """After a 401 the page's headers are not checked, and the advice names --header."""
    url = served(signed_in_only)
    finding = examine("--page", url)[f"page {url}"]

    assert "(401)" in finding["message"]
    assert "--header" in finding["advice"]


@pytest.mark.parametrize(
    "header", ["fake-cookie", ": fake-cookie", "A b: fake-cookie", "A: fake-\ncookie", "A:"]
)
def test_a_wrong_header(operate: Run, header: str) -> None:
    """A header without a name or with a line break is wrong usage. Its value is not shown."""
    ran = operate("doctor", "--header", header)

    assert (ran.code, ran.out) == (2, "")
    assert "cookie" not in ran.err


def test_no_server_at_a_page(examine: Run) -> None:
    """A page that cannot be reached fails its own check."""
    assert failed(examine("--page", "http://127.0.0.1:9/numbers")) == {"page http://127.0.0.1:9/numbers"}


@pytest.mark.parametrize("url", ["numbers", "ftp://127.0.0.1/", "http://user:fake-password@127.0.0.1/"])
def test_wrong_page(operate: Run, url: str) -> None:
    """An invalid page URL is wrong usage."""
    ran = operate("doctor", "--page", url)

    assert (ran.code, ran.out) == (2, "")
    assert "fake-password" not in ran.err
