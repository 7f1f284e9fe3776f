"""The registration page's server side: its headers, its steps, and who may take them."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest
import requests

from ca_embed.sandbox import PageEvent, Sandbox

from .conftest import Partner, Receiver

STATIC = resources.files("ca_embed.sandbox") / "static"


def page_url(sandbox: Sandbox, registration_id: str) -> str:
    """The iframe_url of a session."""
    return f"{sandbox.base_url}/?s={registration_id}&mode=embed"


@pytest.fixture
def page(sandbox: Sandbox, partner: Partner) -> Page:
    """The page of a new session."""
    return Page(sandbox, partner.created())


class Page:
    """The requests of the page's script, without a browser."""

    def __init__(self, sandbox: Sandbox, registration_id: str) -> None:
        self.base_url = sandbox.base_url
        self.registration_id = registration_id

    def take(self, step: str, *, headers: dict[str, str] | None = None, **entered: str) -> requests.Response:
        url = f"{self.base_url}/registration/{self.registration_id}/{step}"
        return requests.post(url, json=entered, headers=headers, timeout=10)

    def state(self, **headers: str) -> dict[str, Any]:
        url = f"{self.base_url}/registration/{self.registration_id}"
        content: dict[str, Any] = requests.get(url, headers=headers, timeout=10).json()
        return content

    def walk_to_meta(self) -> None:
        self.take("phone", phone="+421 233 221 242")
        self.take("code", code="123456")
        self.take("form", business="Tatra Coffee")
        self.take("connect")


class TestHeaders:
    def test_may_be_framed_by_the_parent_alone(self, sandbox: Sandbox, partner: Partner) -> None:
        """The page's policy names the session's parent_origin, and no inline script."""
        registration_id = partner.created(parent_origin="https://crm.example:8443")
        answer = requests.get(page_url(sandbox, registration_id), timeout=10)
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert "frame-ancestors https://crm.example:8443" in policy
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
        assert not re.search(r"<script>|<style|\son[a-z]+=|\sstyle=", answer.text)

    def test_lets_an_ipv6_parent_frame_it(self, sandbox: Sandbox, partner: Partner) -> None:
        """For an IPv6 origin the policy has the scheme, because CSP cannot have the address."""
        registration_id = partner.created(parent_origin="http://[::1]:8000")
        answer = requests.get(page_url(sandbox, registration_id), timeout=10)
        assert "frame-ancestors http:" in answer.headers["Content-Security-Policy"].split("; ")

    @pytest.mark.parametrize("path", ["/", "/?s=unknown", "/meta", "/sandbox", "/static/base.css", "/x"])
    def test_sends_safe_headers_everywhere(self, sandbox: Sandbox, path: str) -> None:
        """Responses have nosniff and no-referrer, and set no cookie."""
        answer = requests.get(sandbox.base_url + path, timeout=10)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in answer.headers

    @pytest.mark.parametrize("path", ["/meta", "/sandbox"])
    def test_other_pages_cannot_be_framed(self, sandbox: Sandbox, path: str) -> None:
        """Meta's window and the log page cannot be framed."""
        policy = requests.get(sandbox.base_url + path, timeout=10).headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy.split("; ")

    @pytest.mark.parametrize("query", ["", "?s=unknown", "?s=../../x&mode=embed"])
    def test_shows_a_page_for_an_unknown_session(self, sandbox: Sandbox, query: str) -> None:
        """An unknown session is a 404 page that any parent may frame."""
        answer = requests.get(f"{sandbox.base_url}/{query}", timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert "frame-ancestors *" in answer.headers["Content-Security-Policy"]


class TestSteps:
    def test_walks_from_phone_to_completion(self, sandbox: Sandbox, page: Page, receiver: Receiver) -> None:
        """Each step sets the guide's next status, and the last step sends the webhook."""
        session = lambda: sandbox.session(page.registration_id)  # noqa: E731
        assert page.take("phone", phone="+421 (233) 221-242").json()["status"] == "phone_code_sent"
        assert re.fullmatch("[0-9]{6}", session().code or "")
        assert page.take("code", code="123456").json()["status"] == "phone_verified"
        assert page.take("form", business=" Tatra Coffee ").json()["status"] == "form_completed"
        assert page.take("connect").json()["status"] == "fb_started"
        assert page.take("finish").json()["status"] == "completed"
        assert (session().phone, session().business) == ("421233221242", "Tatra Coffee")
        assert [event.name for event in session().events] == [
            "phone_verified",
            "facebook_started",
            "completed",
        ]
        (webhook,) = receiver.wait_for(1)
        assert webhook.payload["phone"] == "421233221242"

    def test_tells_the_page_no_secret(self, sandbox: Sandbox, page: Page) -> None:
        """The page's state has neither the credentials nor the webhook's URL."""
        sandbox.complete(page.registration_id)
        text = str(page.state())
        session = sandbox.session(page.registration_id)
        for hidden in (sandbox.secret_of(page.registration_id), session.app_id, session.webhook_url):
            assert hidden not in text
        assert "opaque-state-value" not in text

    def test_takes_another_number_until_one_is_verified(self, sandbox: Sandbox, page: Page) -> None:
        """The number may change until its code is entered, not later."""
        page.take("phone", phone="421233221242")
        assert page.take("phone", phone="4917012345678").status_code == 200
        assert sandbox.session(page.registration_id).phone == "4917012345678"
        page.take("code", code="000000")
        assert page.take("phone", phone="421233221242").status_code == 409

    @pytest.mark.parametrize(
        ("status", "step", "entered"),
        [
            ("started", "phone", {"phone": "123"}),
            ("started", "phone", {"phone": "0123456789"}),
            ("started", "phone", {"phone": "1" * 16}),
            ("started", "phone", {"phone": "٤٢١٢٣٣٢٢١٢٤٢"}),
            ("started", "phone", {}),
            ("phone_code_sent", "code", {"code": "12345"}),
            ("phone_code_sent", "code", {"code": "abcdef"}),
            ("phone_verified", "form", {"business": "  "}),
            ("phone_verified", "form", {"business": "x" * 101}),
        ],
    )
    def test_refuses_what_cannot_be_right(
        self, sandbox: Sandbox, page: Page, status: str, step: str, entered: dict[str, str]
    ) -> None:
        """A wrong entry is a 409, and the status stays."""
        sandbox.advance(page.registration_id, status)
        assert page.take(step, **entered).status_code == 409
        assert sandbox.session(page.registration_id).status == status

    @pytest.mark.parametrize("step", ["code", "form", "connect", "finish"])
    def test_keeps_the_order(self, sandbox: Sandbox, page: Page, step: str) -> None:
        """No step works before the one in front of it."""
        assert page.take(step, **{"code": "123456"} if step == "code" else {}).status_code == 409
        assert sandbox.session(page.registration_id).status == "started"

    def test_completes_once(self, page: Page, receiver: Receiver) -> None:
        """A second finish is refused, and no second webhook is sent."""
        page.walk_to_meta()
        assert page.take("finish").status_code == 200
        assert page.take("finish").status_code == 409
        receiver.wait_for(1)
        assert len(receiver.received) == 1

    @pytest.mark.parametrize(("outcome", "event"), [("cancel", "cancelled"), ("fail", "failed")])
    def test_leaves_the_way_open(self, sandbox: Sandbox, page: Page, outcome: str, event: str) -> None:
        """After a cancelled or failed signup the status stays, and the person may try again."""
        page.walk_to_meta()
        state = page.take(outcome).json()
        assert (state["status"], state["events"][-1]["event"]) == ("fb_started", event)
        assert ("message" in state["events"][-1]) is (event == "failed")
        assert page.take("connect").json()["events"][-1] == {"event": "facebook_started"}
        assert page.take("finish").json()["status"] == "completed"

    def test_refuses_an_expired_session(self, sandbox: Sandbox, page: Page) -> None:
        """No step works on the page of an expired session."""
        sandbox.expire(page.registration_id)
        assert page.take("phone", phone="421233221242").status_code == 409
        assert page.state()["status"] == "expired"

    def test_follows_python(self, sandbox: Sandbox, page: Page) -> None:
        """The page's state shows what Python does to a session."""
        sandbox.advance(page.registration_id, "phone_verified")
        sandbox.fail(page.registration_id, "No such luck")
        sandbox.cancel(page.registration_id)
        assert page.state()["events"] == [
            {"event": "phone_verified"},
            {"event": "failed", "message": "No such luck"},
            {"event": "cancelled"},
        ]
        assert sandbox.session(page.registration_id).events[1] == PageEvent("failed", "No such luck")

    @pytest.mark.parametrize("step", ["phone", "finish", "nonsense"])
    def test_knows_no_other_session(self, sandbox: Sandbox, step: str) -> None:
        """A step of an unknown session is a 404."""
        assert Page(sandbox, "a" * 22).take(step).status_code == 404


class TestGuard:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Host": "evil.example"},
            {"Host": "127.0.0.1.evil.example"},
        ],
    )
    def test_refuses_other_sites_pages(self, sandbox: Sandbox, page: Page, headers: dict[str, str]) -> None:
        """A foreign page cannot take a step, and a foreign Host cannot read anything."""
        answer = page.take("phone", headers=headers, phone="421233221242")
        assert (answer.status_code, answer.json()["status"]) == (403, "error")
        assert sandbox.session(page.registration_id).status == "started"
        assert page.state(**headers)["status"] == "error"

    def test_takes_its_own_pages(self, sandbox: Sandbox, page: Page) -> None:
        """The sandbox's own page may do everything."""
        own = {"Origin": sandbox.base_url, "Sec-Fetch-Site": "same-origin"}
        assert page.take("phone", headers=own, phone="421233221242").status_code == 200


class TestFiles:
    def test_serves_its_files_alone(self, sandbox: Sandbox) -> None:
        """Only the files of the folder are served, with their types."""
        get = lambda name: requests.get(f"{sandbox.base_url}/static/{name}", timeout=10)  # noqa: E731
        assert get("registration.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert get("base.css").headers["Content-Type"] == "text/css; charset=utf-8"
        for name in ("registration.html", "..%2fserver.py", "server.py", "nothing.js", "%2e%2e"):
            assert get(name).status_code == 404, name

    def test_has_every_text_in_every_language(self) -> None:
        """The five languages have the same texts, and the pages use none that is missing."""
        source = (STATIC / "texts.js").read_text("utf-8")
        languages = {
            lang: set(re.findall(r"\b([a-z_]+): \"", block))
            for lang, block in re.findall(r"^  (\w\w): \{\n(.*?)^  \},\n", source, re.DOTALL | re.MULTILINE)
        }
        assert sorted(languages) == ["de", "en", "es", "pt", "ru"]
        assert len({frozenset(texts) for texts in languages.values()}) == 1
        used = set()
        for name in ("registration.html", "meta.html"):
            used |= set(re.findall(r'data-text="(\w+)"', (STATIC / name).read_text("utf-8")))
        script = (STATIC / "registration.js").read_text("utf-8")
        used |= set(re.findall(r'(?:text|complain)\("(\w+)"\)', script))
        assert used <= languages["en"]
        assert {"failed", "popup_blocked", "phone_heading"} <= used

    def test_never_posts_to_any_origin(self) -> None:
        """No script posts a message to "*"."""
        for entry in STATIC.iterdir():
            if entry.name.endswith(".js"):
                for call in re.findall(r"postMessage\((.*)\)", entry.read_text("utf-8")):
                    assert call.endswith((", state.parent_origin", ", location.origin")), call
