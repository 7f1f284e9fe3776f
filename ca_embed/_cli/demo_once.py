"""`demo --once`: one registration from the click to sealed credentials, with HTTP requests as browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import requests

from ca_embed._cli.output import say

if TYPE_CHECKING:
    from ca_embed._cli.demo_sites import Demo

_STEPS = ("phone_code_sent", "phone_verified", "form_completed", "fb_started")


class StepFailed(Exception):
    """A step failed. The message says what happened."""


def run_once(demo: Demo) -> int:
    """Run all steps, print each, and return the exit code."""
    run = _Run(demo)
    number = 0
    try:
        for number, step in enumerate(run.steps, start=1):
            print(f"{number}. {step()}", flush=True)
    except (StepFailed, requests.RequestException) as failure:
        say(f"ca-embed: step {number} failed: {type(failure).__name__}: {failure}")
        say("See the log above for the reason.")
        return 1
    finally:
        run.browser.close()
    print("Connected. Everything worked.")
    say("To see what is stored, run:")
    say(f"    {demo.shell_command(f'show {run.registration_id}')}")
    return 0


class _Run:
    """The steps of one registration. Each returns a sentence about what it did, or raises StepFailed."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        self._mount = demo.embed._core.settings.public_url
        self.registration_id = ""
        self.browser = requests.Session()  # keeps the host's cookie, as a browser does
        self.browser.trust_env = False  # there is no proxy in front of this machine
        self.steps: tuple[Callable[[], str], ...] = (
            self._open_page,
            self._create_session,
            self._advance_in_iframe,
            self._complete,
            self._deliver_again,
            self._ask_status,
            self._check_stored_bytes,
            self._read_credentials,
        )

    def _open_page(self) -> str:
        page = self._request("GET", self._demo.url, 200).text
        _require("<ca-whatsapp-registration" in page, "the page has no registration element")
        return f"The signed-in user opens {self._demo.url} and sees the registration element"

    def _create_session(self) -> str:
        origin = self._demo.url.rstrip("/")
        url = f"{self._mount}/sessions"
        created = self._request("POST", url, 201, json={"lang": "en"}, headers={"Origin": origin}).json()
        self.registration_id = created["registration_id"]
        iframe_url = created["iframe_url"]
        self._request("GET", iframe_url, 200)
        return f"POST {url}: session {self.registration_id}, iframe {iframe_url}"

    def _advance_in_iframe(self) -> str:
        for status in _STEPS:
            self._demo.sandbox.advance(self.registration_id, status)
        return f"The user goes through the iframe: {', '.join(_STEPS)}"

    def _complete(self) -> str:
        (delivery,) = self._demo.sandbox.complete(self.registration_id)
        _require(
            "accepted" in delivery.body, f"the webhook was answered {delivery.status_code} {delivery.body}"
        )
        return f"The signed webhook arrives at {self._mount}/webhook: {delivery.status_code} {delivery.body}"

    def _deliver_again(self) -> str:
        delivery = self._demo.sandbox.deliver(self.registration_id)
        _require(
            "duplicate" in delivery.body,
            f"the second delivery was answered {delivery.status_code} {delivery.body}",
        )
        return f"A second delivery of it changes nothing: {delivery.status_code} {delivery.body}"

    def _ask_status(self) -> str:
        url = f"{self._mount}/sessions/{self.registration_id}"
        known = self._request("GET", url, 200).json()
        _require(known["status"] == "completed", f"the status is {known['status']}")
        return f"GET {url}: {known['status']}, phone +{known['phone']}"

    def _check_stored_bytes(self) -> str:
        secret = self._demo.sandbox.secret_of(self.registration_id).encode()
        record = self._demo.storage.load(self.registration_id)
        assert record is not None  # _ask_status has just read it
        files = [path for path in self._demo.folder.rglob("*") if path.is_file()]
        found = [str(path) for path in files if secret in path.read_bytes()]
        _require(
            secret not in record.document and not found, f"app_secret is readable in {found or 'the record'}"
        )
        size, names = len(record.document), ", ".join(sorted(path.name for path in files))
        return f"app_secret is sealed: it is not in the record of {size} bytes, nor in {names}"

    def _read_credentials(self) -> str:
        credentials = self._demo.embed.credentials(self.registration_id)
        secret = self._demo.sandbox.secret_of(self.registration_id)
        _require(
            credentials is not None and credentials.app_secret == secret,
            "embed.credentials() returns other ones",
        )
        return f"embed.credentials() opens the record: {credentials}"

    def _request(self, method: str, url: str, status: int, **options: Any) -> requests.Response:
        response = self.browser.request(method, url, timeout=30, **options)
        _require(response.status_code == status, f"{method} {url} was answered {response.status_code}")
        return response


def _require(condition: object, failure: str) -> None:
    if not condition:
        raise StepFailed(failure)
