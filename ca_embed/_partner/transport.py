"""HTTP to the Partner API, with limits that hold whatever the other side does.

requests limits each wait for bytes, but not the sum: a server that sends a byte a second holds its
caller for ever, in the headers as well as in the body, and a redirect or an error page is read to its
end unasked. So every call has a budget of seconds and bytes, and every read from its socket draws on
it; looking up the name and connecting, which cannot be interrupted, are waited for no longer than that.

What is repeated, by urllib3, and never more than twice:

- any call that could not connect: nothing was sent;
- a GET that was cut off before its answer began, or answered with 502, 503 or 504.

A POST that was sent is never repeated: the Partner API may have acted on it. So that a POST seldom
meets a kept connection that the server is just closing, one that has idled for `MAX_IDLE` is not used.

Redirects are answers like any other: the token must not travel. An http base URL is on this very
machine, so no proxy gets to see it; to https the proxy variables of the environment apply. A `.netrc`
never replaces the token.
"""

from __future__ import annotations

import functools
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from ca_embed._version import __version__
from ca_embed.errors import PartnerError, PartnerTimeout, PartnerUnavailable

CONNECT_TIMEOUT = 5.0  # seconds for one attempt to connect
MAX_KEPT = 16  # connections
MAX_IDLE = 4.0  # seconds; many servers close an idle connection after 5
MAX_BODY = 64 * 1024  # bytes of an answer that are looked at
MAX_TRAFFIC = 4 * MAX_BODY  # bytes of one call: headers, interim answers, all attempts

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a compressed answer could be of any size
    "User-Agent": f"ca_embed/{__version__}",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `body` is None if it was longer than 64 KiB, or compressed although unasked."""

    status: int
    body: bytes | None = field(repr=False)  # it may bring an app_secret


class PartnerHttp:
    """A pooled, bounded HTTP session that bears the partner token. Threads may share it."""

    def __init__(self, base_url: str, token: str) -> None:
        """Call below this URL, which has been checked and has no trailing slash."""
        self._base_url = base_url
        self._session = _Session()
        self._session.auth = _Bearer(token)
        self._session.headers.update(_HEADERS)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._session.trust_env = base_url.startswith("https:")
        adapter = _BoundedAdapter(max_retries=_retries(), pool_maxsize=MAX_KEPT)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def call(
        self, method: str, query: Mapping[str, str], *, seconds: float, json: bytes | None = None
    ) -> Answer:
        """Send one request to `/partner` and return the answer, whatever its status.

        Raises PartnerTimeout after that many seconds, PartnerUnavailable if there is no answer.
        """
        budget = _Budget(seconds)
        spending = _budget.set(budget)
        try:
            return self._exchange(method, query, seconds, json)
        except (requests.RequestException, HTTPError, OSError) as problem:
            failure = self._failure(problem, budget)
        finally:
            _budget.reset(spending)
        raise failure  # out here: chained to `problem`, it would lead to the request and its token

    def close(self) -> None:
        """Close the pooled connections; a later call opens new ones."""
        self._session.close()

    def _exchange(self, method: str, query: Mapping[str, str], seconds: float, json: bytes | None) -> Answer:
        with self._session.request(
            method,
            f"{self._base_url}/partner",
            params=query,
            data=json,
            headers={"Content-Type": "application/json"} if json is not None else None,
            timeout=(min(CONNECT_TIMEOUT, seconds), seconds),
            allow_redirects=False,
            stream=True,
        ) as response:
            return Answer(response.status_code, _read(response))

    def _failure(self, problem: Exception, budget: _Budget) -> PartnerError:
        if isinstance(problem, requests.Timeout | TimeoutError) or budget.seconds <= 0:
            return PartnerTimeout(f"{self._base_url} did not answer in time; try again in a moment.")
        return PartnerUnavailable(
            f"{self._base_url} gave no answer ({_root_of(problem)}); "
            "check base_url, the network and its proxy, or try again in a moment."
        )


def _read(response: requests.Response) -> bytes | None:
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        return None
    body: bytes = response.raw.read(MAX_BODY + 1, decode_content=False)
    return body if len(body) <= MAX_BODY else None


def _root_of(problem: BaseException) -> str:
    """Name what lies at the root: the system's own words, never those of the other side."""
    led_to_it = (problem.__cause__, problem.__context__, *problem.args)  # urllib3 uses all three
    for cause in led_to_it:
        if isinstance(cause, BaseException):
            return _root_of(cause)
    words = problem.strerror if isinstance(problem, OSError) else None
    return words or type(problem).__name__


# --- the session -----------------------------------------------------------------------------------


class _Bearer(AuthBase):
    """Sets the token. Being there, it also keeps requests from asking `.netrc`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Session(requests.Session):
    def get_redirect_target(self, _response: requests.Response) -> None:
        """See no redirect anywhere: even one that is not followed would have its whole body read."""


def _retries() -> Retry:
    return Retry(
        total=2,
        other=0,
        allowed_methods={"GET"},
        status_forcelist={502, 503, 504},
        backoff_factor=0.1,  # 0.2 seconds, before the third attempt
        respect_retry_after_header=False,  # it may name an hour
        raise_on_status=False,
    )


class _BoundedAdapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Let every pool, also one to or through a proxy, make bounded connections."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _bounded(pool.ConnectionCls)
        return pool

    def close(self) -> None:
        """Close the connections now. urllib3 waits until nothing refers to a pool, and a log record may."""
        managers = [self.poolmanager, *self.proxy_manager.values()]
        pools = [manager.pools.get(key) for manager in managers for key in manager.pools.keys()]  # noqa: SIM118
        super().close()
        for pool in pools:
            if pool is not None:  # another thread may have closed it meanwhile
                pool.close()


# --- the budget ------------------------------------------------------------------------------------


class _Budget:
    """The seconds and bytes that one call may still cost."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._bytes = MAX_TRAFFIC

    @property
    def seconds(self) -> float:
        """How long the call may go on; not positive if it may not."""
        return self._ends - time.monotonic()

    def seconds_left(self) -> float:
        """Return how long the call may go on. Raises TimeoutError if it may not."""
        seconds = self.seconds
        if seconds <= 0:
            raise TimeoutError("the call has used up its time")
        return seconds

    def spend(self, count: int) -> None:
        """Note received bytes. Raises OSError if they are too many."""
        self._bytes -= count
        if self._bytes < 0:
            raise OSError(0, "the answer is too long")


_budget: ContextVar[_Budget] = ContextVar("ca_embed partner call budget")


class _BoundedReader(io.RawIOBase):
    """Reads from a socket within the budget of the call that is reading."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        super().__init__()
        self._raw, self._sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        budget = _budget.get()
        self._sock.settimeout(budget.seconds_left())
        count = self._raw.readinto(buffer)
        budget.spend(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), sock))

    def begin(self) -> None:
        """Read status line and headers. What is none raises without quoting it: urllib3 logs the error."""
        try:
            super().begin()
        except HTTPException:
            raise HTTPException("no HTTP answer") from None
        if self.msg.defects or self.msg.get_payload():
            raise HTTPException("no HTTP answer: malformed headers")


class _BoundedConnection(HTTPConnection):
    """Connects and reads within the budget. Not used again after a long idle time or in another process."""

    response_class = _BoundedResponse
    _use: tuple[int, float] = (0, 0.0)

    @property
    def is_connected(self) -> bool:
        """Whether the pool may use this connection again."""
        process, last_used = self._use
        usable = process == os.getpid() and time.monotonic() - last_used < MAX_IDLE
        return usable and super().is_connected

    def getresponse(self) -> Any:
        """Note when and where the connection was used, so that a fork does not share it."""
        response = super().getresponse()
        self._use = (os.getpid(), time.monotonic())
        return response

    def _new_conn(self) -> socket.socket:
        budget = _budget.get()
        sock = _wait_for(super()._new_conn, budget.seconds_left())
        sock.settimeout(max(0.001, min(CONNECT_TIMEOUT, budget.seconds)))  # for TLS, and to send
        return sock


@functools.cache
def _bounded(kind: type[HTTPConnection]) -> type[HTTPConnection]:
    """Derive the bounded kind of a kind of connection: plain, TLS, through a SOCKS proxy."""
    if issubclass(kind, _BoundedConnection):
        return kind
    return type(f"_Bounded{kind.__name__}", (_BoundedConnection, kind), {})


def _wait_for(connect: Callable[[], socket.socket], seconds: float) -> socket.socket:
    """Connect in a thread of its own. Raises TimeoutError; what connects after that is hung up."""
    connected: Future[socket.socket] = Future()

    def settle() -> None:
        try:
            connected.set_result(connect())
        except BaseException as problem:  # noqa: BLE001 (it is raised where it is waited for)
            connected.set_exception(problem)

    threading.Thread(target=settle, name="ca_embed connect", daemon=True).start()
    try:
        return connected.result(seconds)
    except TimeoutError:
        connected.add_done_callback(_hang_up)
        raise


def _hang_up(late: Future[socket.socket]) -> None:
    if late.exception() is None:
        late.result().close()
