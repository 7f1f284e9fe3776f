"""The journal: every call of the Partner API and every delivery of a webhook, secrets masked."""

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
    """One exchange. `call`: a partner called; `delivery`: the sandbox sent a webhook.

    `response_status` is None where no answer came; `error` then says why.
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
    """Keeps the last thousand exchanges, and masks them on the way in: it never holds a secret in one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._entries: deque[JournalEntry] = deque(maxlen=_KEPT)
        self._secrets: set[str] = set()

    def hide(self, secret: str) -> None:
        """Mask this text wherever it appears from now on, as it is and as JSON writes it."""
        with self._lock:
            self._secrets |= {secret, json.dumps(secret)[1:-1]}

    def note(
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
        """Add an exchange."""
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
        """List the exchanges with a higher number than `after`, the oldest first."""
        with self._lock:
            return [entry for entry in self._entries if entry.number > after]

    def _masked(self, text: str) -> str:
        # The longest first: a secret may begin with another.
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
