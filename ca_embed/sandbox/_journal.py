"""The journal: every call of the Partner API and every delivery of a webhook, with secrets masked."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

MASK = "••••••••"
_KEPT = 1000
_BODY_SHOWN = 64 * 1024
_SECRET_FIELD = re.compile(r'("app_secret"\s*:\s*)"(?:[^"\\]|\\.)*"')
_SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie")

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One request and its response, with secrets masked.

    number: counts up from 1. time: when it was over, in UTC.
    direction: "call" is a call of the Partner API, "delivery" is a webhook that the sandbox sent.
    method, path: of the request; for a delivery `path` is the whole URL.
    request_headers, response_headers: pairs of name and value.
    request_body, response_body: text, at most 64 KiB of it.
    response_status: None if there was no response; `error` then says why.
    """

    number: int
    time: datetime
    direction: Literal["call", "delivery"]
    method: str
    path: str
    request_headers: Headers
    request_body: str
    response_status: int | None
    response_headers: Headers
    response_body: str
    error: str


class Journal:
    """Keeps the last 1000 entries. It masks secrets before it stores an entry, so it never holds one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._entries: deque[JournalEntry] = deque(maxlen=_KEPT)
        self._secrets: set[str] = set()

    def hide(self, secret: str) -> None:
        """Mask this text in all entries from now on, both plain and as JSON escapes it."""
        with self._lock:
            self._secrets |= {secret, json.dumps(secret)[1:-1]}

    def add(
        self,
        direction: Literal["call", "delivery"],
        method: str,
        path: str,
        *,
        request_headers: Iterable[tuple[str, str]],
        request_body: bytes,
        response_status: int | None = None,
        response_headers: Iterable[tuple[str, str]] = (),
        response_body: bytes = b"",
        error: str = "",
    ) -> None:
        """Add an entry."""
        with self._lock:
            entry = JournalEntry(
                number=next(self._numbers),
                time=datetime.now(UTC),
                direction=direction,
                method=method,
                path=self._masked(path),
                request_headers=self._masked_headers(request_headers),
                request_body=self._masked_body(request_body),
                response_status=response_status,
                response_headers=self._masked_headers(response_headers),
                response_body=self._masked_body(response_body),
                error=error,
            )
            self._entries.append(entry)

    def entries(self, *, after: int = 0) -> list[JournalEntry]:
        """Return the entries with a number above `after`, the oldest first."""
        with self._lock:
            return [entry for entry in self._entries if entry.number > after]

    def _masked(self, text: str) -> str:
        # The longest first: one secret may contain another, and a part of it would stay readable.
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK) if secret else text
        return _SECRET_FIELD.sub(rf'\1"{MASK}"', text)

    def _masked_body(self, body: bytes) -> str:
        return self._masked(body.decode("utf-8", "replace"))[:_BODY_SHOWN]

    def _masked_headers(self, headers: Iterable[tuple[str, str]]) -> Headers:
        return tuple((name, self._masked_header(name, value)) for name, value in headers)

    def _masked_header(self, name: str, value: str) -> str:
        if name.lower() in _SECRET_HEADERS:
            scheme, _, rest = value.partition(" ")
            return f"{scheme} {MASK}" if rest and scheme.lower() == "bearer" else MASK
        if name.lower() == "x-ca-signature":
            return f"{value[:15]}…"
        return self._masked(value)
