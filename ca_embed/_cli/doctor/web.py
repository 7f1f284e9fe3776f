"""HTTP as a stranger would ask: no cookie, no token, no redirect followed, little patience."""

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
MAX_BODY = 1024 * 1024  # bytes of an answer that are looked at
NOISE = 2.0  # seconds; a Date tells whole ones, and an answer takes a while

_HEADERS = {
    "User-Agent": f"ca_embed/{__version__} doctor",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",
}


class Unreachable(Exception):
    """There was no answer. The message says why, in words of ours that quote nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. headers: a name may occur more than once. body: the first mebibyte."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first header of that name, else an empty text."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def field(self, name: str) -> str:
        """Return a text of the JSON object in the body, else an empty one."""
        try:
            value = parse_object(self.body).get(name)
        except NotStrictJson:
            return ""
        return value if isinstance(value, str) else ""

    @property
    def date(self) -> float | None:
        """When the server sent it, by its own clock, in Unix seconds; None if it does not tell."""
        try:
            date = parsedate_to_datetime(self.header("Date"))
        except (ValueError, OverflowError):
            return None
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()

    @property
    def target(self) -> str:
        """Where it redirects to, without the query, which may hold anything; else an empty text."""
        location = self.header("Location")
        return bare(urljoin(self.url, location)) if 300 <= self.status < 400 and location else ""


def bare(url: str) -> str:
    """Return the URL up to its path, to be shown."""
    try:
        return urlsplit(url)._replace(query="", fragment="").geturl()[:200]
    except ValueError:
        return "something that is no URL"


def ask(method: str, url: str, *, headers: Mapping[str, str] | None = None, data: bytes = b"") -> Reply:
    """Send one request and return the answer, whatever it is. Raises Unreachable."""
    with _Session() as session:
        session.trust_env = url.startswith("https:")  # no proxy sees what is on this machine
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
    session: _Session, method: str, url: str, headers: Mapping[str, str] | None, data: bytes
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
    """Read what comes in time, at most so much."""
    body, enough = bytearray(), time.monotonic() + ANSWER_SECONDS
    for part in response.iter_content(16 * 1024):
        body += part
        if len(body) >= MAX_BODY:
            break
        if time.monotonic() > enough:
            raise requests.Timeout
    return bytes(body[:MAX_BODY])


class _Session(requests.Session):
    """A session that keeps nothing and brings nothing along."""

    def __init__(self) -> None:
        super().__init__()
        self.headers.update(_HEADERS)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.auth = _nobody  # being there, it keeps requests from asking .netrc

    def get_redirect_target(self, _response: requests.Response) -> None:
        """See no redirect, so that none is followed; `allow_redirects=False` would read all of its body."""


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
