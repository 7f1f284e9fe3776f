"""HTTP requests as from a stranger: no cookies, no tokens, no redirects, short timeouts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urljoin, urlsplit

import requests

from ca_embed._strict_json import NotStrictJson, parse_object
from ca_embed._version import __version__

CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 5.0
MAX_BODY = 1024 * 1024  # bytes of a response that are read
NOISE = 2.0  # seconds; a Date has whole seconds, and a response takes some time

_HEADERS = {
    "User-Agent": f"ca_embed/{__version__} doctor",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",
}


class Unreachable(Exception):
    """There was no response. The message says why, and quotes nothing that may hold a secret."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response. headers: a name may occur more than once. body: the first MiB."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first header of this name, or an empty text."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def field(self, name: str) -> str:
        """Return a text field of the JSON object in the body, or an empty text."""
        try:
            value = parse_object(self.body).get(name)
        except NotStrictJson:
            return ""
        return value if isinstance(value, str) else ""

    @property
    def date(self) -> float | None:
        """The time of the server, in Unix seconds, or None without a readable Date."""
        try:
            date = parsedate_to_datetime(self.header("Date"))
        except (ValueError, OverflowError):
            return None
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()

    @property
    def target(self) -> str:
        """The target of a redirect without its query, which may hold a secret; or an empty text."""
        location = self.header("Location")
        return bare(urljoin(self.url, location)) if 300 <= self.status < 400 and location else ""


def bare(url: str) -> str:
    """Return the URL without query and fragment, at most 200 characters, for output."""
    try:
        return urlsplit(url)._replace(query="", fragment="").geturl()[:200]
    except ValueError:
        return "an invalid URL"


def ask(method: str, url: str, *, headers: Mapping[str, str] | None = None, data: bytes = b"") -> Reply:
    """Send one request, and return the response with any status. Raises Unreachable."""
    with _AnonymousSession() as session:
        session.trust_env = url.startswith("https:")  # plain http is for this machine, without a proxy
        try:
            return _exchange(session, method, url, headers, data)
        except requests.exceptions.SSLError:
            problem = "its TLS certificate is not trusted, or TLS fails"
        except requests.Timeout:
            problem = f"no answer within {ANSWER_SECONDS:g} s"
        except (requests.RequestException, OSError) as error:
            problem = f"no connection or no HTTP answer ({type(error).__name__})"
    raise Unreachable(problem)


def _exchange(
    session: _AnonymousSession, method: str, url: str, headers: Mapping[str, str] | None, data: bytes
) -> Reply:
    with session.request(
        method,
        url,
        headers=headers,
        data=data or None,
        timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
        stream=True,
    ) as response:
        pairs = tuple((str(name), str(value)) for name, value in response.raw.headers.items())
        return Reply(url, response.status_code, pairs, _body(response))


def _body(response: requests.Response) -> bytes:
    """Read at most MAX_BODY bytes. Raises requests.Timeout after ANSWER_SECONDS."""
    body, deadline = bytearray(), time.monotonic() + ANSWER_SECONDS
    for part in response.iter_content(16 * 1024):
        body += part
        if len(body) >= MAX_BODY:
            break
        if time.monotonic() > deadline:
            raise requests.Timeout
    return bytes(body[:MAX_BODY])


class _AnonymousSession(requests.Session):
    """A requests session that stores no cookies, and sends no credentials."""

    def __init__(self) -> None:
        super().__init__()
        self.headers.update(_HEADERS)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.auth = _no_credentials  # without an `auth`, requests would read .netrc

    def get_redirect_target(self, _response: requests.Response) -> None:
        """Return None, so that no redirect is followed. `allow_redirects=False` would read the whole body."""


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
