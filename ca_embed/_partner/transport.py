"""HTTP to the Partner API, with limits that the server cannot exceed.

requests limits each wait for bytes, but not their sum. A server that sends one byte a second can hold its
caller for ever, in the headers as well as in the body. requests also reads the body of a redirect to its
end, even if the redirect is not followed. So every call has a budget of seconds and bytes, and every read
from its socket takes from it. Looking up the name and connecting cannot be interrupted. They run in
another thread, and the call waits for that thread no longer than its budget allows.

urllib3 repeats these calls:

- any call that could not connect, at most twice: nothing was sent;
- a GET that got no valid reply, for example because it was cut off, once.

A reply is never asked for again, whatever its status is: the caller decides when to call again. A POST that
was sent is never repeated, because the Partner API may have acted on it. A server may close a kept
connection just when a POST is sent on it. To make that rare, a connection that was idle for `MAX_IDLE`
seconds is not used again.

A redirect is returned like any other reply: the token must not go to another host. An http base URL is on
this machine, so it is called without a proxy. For https, the proxy variables of the environment apply. A
`.netrc` file never replaces the token.
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
from traceback import walk_tb
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from ca_embed._frames import clears_locals
from ca_embed._partner.retry_after import seconds_to_wait
from ca_embed._version import __version__
from ca_embed.errors import PartnerError, PartnerTimeout, PartnerUnavailable

CONNECT_TIMEOUT = 5.0  # seconds for one attempt to connect
MAX_KEPT = 16  # connections in the pool
MAX_IDLE = 4.0  # seconds; many servers close an idle connection after 5
MAX_BODY = 64 * 1024  # bytes of a reply's body
MAX_TRAFFIC = 4 * MAX_BODY  # bytes received in one call: headers, interim responses, all attempts

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a small compressed body can unpack to any size
    "User-Agent": f"ca_embed/{__version__}",
}


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A reply of the Partner API.

    body: None if it was longer than 64 KiB, or compressed.
    retry_after: the seconds that the reply asks to wait, or None if it does not say.
    """

    status: int
    body: bytes | None = field(repr=False)  # it may contain an app_secret
    retry_after: float | None = None


class PartnerHttp:
    """A pooled, bounded HTTP session that sends the partner token. Threads may share it."""

    def __init__(self, base_url: str, token: str) -> None:
        """Take the base URL, which is checked and has no slash at the end, and the partner token."""
        self._base_url = base_url
        self._session = _RequestsSession()
        self._session.auth = _Bearer(token)
        self._session.headers.update(_HEADERS)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))  # take no cookies
        self._session.trust_env = base_url.startswith("https:")  # use the proxy variables
        adapter = _BoundedAdapter(max_retries=_retries(), pool_maxsize=MAX_KEPT)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    @clears_locals
    def call(
        self, method: str, query: Mapping[str, str], *, seconds: float, json: bytes | None = None
    ) -> HttpReply:
        """Send one request to `/partner` and return the reply, also if its status is an error.

        Raises PartnerTimeout after that many seconds, and PartnerUnavailable if there is no reply. Whatever
        else requests, urllib3 or Python may raise becomes one of the two.
        """
        budget = _Budget(seconds)
        reset_token = _budget.set(budget)
        try:
            return self._exchange(method, query, seconds, json)
        except Exception as problem:  # noqa: BLE001 (a bad reply raises errors that no one documents)
            failure = self._failure(problem, budget)
        finally:
            _budget.reset(reset_token)
        # Not raised inside the except block: there it would be chained to `problem`, and so to the request,
        # which holds the token.
        raise failure

    def close(self) -> None:
        """Close the pooled connections. A later call opens new ones."""
        self._session.close()

    def _exchange(
        self, method: str, query: Mapping[str, str], seconds: float, json: bytes | None
    ) -> HttpReply:
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
            retry_after = seconds_to_wait(response.headers.get("Retry-After"), response.headers.get("Date"))
            return HttpReply(response.status_code, _limited_body(response), retry_after)

    def _failure(self, problem: Exception, budget: _Budget) -> PartnerError:
        if isinstance(problem, requests.Timeout | TimeoutError) or budget.seconds <= 0:
            return PartnerTimeout(f"{self._base_url} did not answer in time; try again in a moment.")
        return PartnerUnavailable(
            f"{self._base_url} gave no reply ({_root_cause(problem)}); "
            "check base_url, the network and its proxy, or try again in a moment."
        )


def _limited_body(response: requests.Response) -> bytes | None:
    """Return the body, or None if it is compressed or longer than 64 KiB."""
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        return None
    body: bytes = response.raw.read(MAX_BODY + 1, decode_content=False)
    return body if len(body) <= MAX_BODY else None


def _root_cause(problem: BaseException) -> str:
    """Name the first cause of an error in the system's words: those of the server may hold secrets.

    An error that is not expected from a network is named with its place, so that it can be found.
    """
    causes = (problem.__cause__, problem.__context__, *problem.args)  # urllib3 uses all three
    for cause in causes:
        if isinstance(cause, BaseException):
            return _root_cause(cause)
    system_text = problem.strerror if isinstance(problem, OSError) else None
    name = type(problem).__name__
    expected = isinstance(problem, requests.RequestException | HTTPError | HTTPException | OSError)
    return system_text or (name if expected else f"{name}{_place(problem)}")


def _place(problem: BaseException) -> str:
    """Return the file and line where an error was raised, or an empty text if it was not."""
    lines = [f" at {frame.f_code.co_filename}:{line}" for frame, line in walk_tb(problem.__traceback__)]
    return lines[-1] if lines else ""


# --- the session -----------------------------------------------------------------------------------


class _Bearer(AuthBase):
    """Adds the token to a request. With an auth object, requests does not look into `.netrc`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _RequestsSession(requests.Session):
    def get_redirect_target(self, _response: requests.Response) -> None:
        """Report no redirect: requests reads the whole body of one, even if it does not follow it."""


def _retries() -> Retry:
    return Retry(
        total=2,
        read=1,
        status=0,
        other=0,
        allowed_methods={"GET"},  # the Partner API may have acted on a POST that was sent
        backoff_factor=0.1,  # waits 0.2 seconds before the third attempt
        respect_retry_after_header=False,  # else urllib3 itself waits, perhaps an hour
        raise_on_status=False,
    )


class _BoundedAdapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return a pool whose connections are bounded, also those through a proxy."""
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
    """The seconds and bytes that are left for one call."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._bytes = MAX_TRAFFIC

    @property
    def seconds(self) -> float:
        """The seconds that are left; 0 or less if there are none."""
        return self._ends - time.monotonic()

    def seconds_left(self) -> float:
        """Return the seconds that are left. Raises TimeoutError if there are none."""
        seconds = self.seconds
        if seconds <= 0:
            raise TimeoutError("the call has used up its time")
        return seconds

    def spend(self, count: int) -> None:
        """Take received bytes from the budget. Raises OSError if they are too many."""
        self._bytes -= count
        if self._bytes < 0:
            raise OSError(0, "the reply is too long")


_budget: ContextVar[_Budget] = ContextVar("ca_embed partner call budget")


class _BoundedReader(io.RawIOBase):
    """Reads from a socket within the budget of the call that reads."""

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
        """Read status line and headers. An error must not quote the bytes, because urllib3 logs it."""
        try:
            super().begin()
        except HTTPException:
            raise HTTPException("not an HTTP response") from None
        if self.msg.defects or self.msg.get_payload():
            raise HTTPException("not an HTTP response: malformed headers")


class _BoundedConnection(HTTPConnection):
    """Connects and reads within the budget. It is not used again after `MAX_IDLE` seconds or after a fork."""

    response_class = _BoundedResponse
    _last_use: tuple[int, float] = (0, 0.0)  # process id, and seconds of the monotonic clock

    @property
    def is_connected(self) -> bool:
        """Whether the pool may use this connection again."""
        process_id, used_at = self._last_use
        usable = process_id == os.getpid() and time.monotonic() - used_at < MAX_IDLE
        return usable and super().is_connected

    def getresponse(self) -> Any:
        """Note the process and time of this use: a forked child must not share the connection."""
        response = super().getresponse()
        self._last_use = (os.getpid(), time.monotonic())
        return response

    def _new_conn(self) -> socket.socket:
        budget = _budget.get()
        sock = _connected_within(budget.seconds_left(), super()._new_conn)
        sock.settimeout(
            max(0.001, min(CONNECT_TIMEOUT, budget.seconds))
        )  # for the TLS handshake and for sending
        return sock


@functools.cache
def _bounded(kind: type[HTTPConnection]) -> type[HTTPConnection]:
    """Return the bounded subclass of a connection class: plain, TLS, or through a SOCKS proxy."""
    if issubclass(kind, _BoundedConnection):
        return kind
    return type(f"_Bounded{kind.__name__}", (_BoundedConnection, kind), {})


def _connected_within(seconds: float, connect: Callable[[], socket.socket]) -> socket.socket:
    """Connect in a new thread, because looking up a name cannot be interrupted. Raises TimeoutError.

    A connection that comes after that is closed.
    """
    connected: Future[socket.socket] = Future()

    def run() -> None:
        try:
            connected.set_result(connect())
        except BaseException as problem:  # noqa: BLE001 (the waiting thread raises it)
            connected.set_exception(problem)

    threading.Thread(target=run, name="ca_embed connect", daemon=True).start()
    try:
        return connected.result(seconds)
    except TimeoutError:
        connected.add_done_callback(_close_late_connection)
        raise


def _close_late_connection(connected: Future[socket.socket]) -> None:
    if connected.exception() is None:
        connected.result().close()
