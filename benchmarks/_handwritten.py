"""The receiver that a good engineer writes by hand for one application, with the same durability as ours.

It checks the MAC and the window, parses the body, encrypts it, and inserts one row into SQLite with
`synchronous = FULL`. One connection with a lock writes, because SQLite allows one writer at a time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_INSERT = "INSERT INTO completed VALUES (?, ?, ?, ?) ON CONFLICT (registration_id) DO NOTHING"
_INSERT_OR_UPDATE = """
    INSERT INTO completed VALUES (?, ?, ?, ?)
    ON CONFLICT (registration_id) DO UPDATE SET document = excluded.document
"""


class Handwritten:
    """The decisions and the storage. Below it are the doors."""

    def __init__(self, path: Path, token: str, key: str, clock: Callable[[], float] = time.time) -> None:
        """Open the database."""
        self._token = token.encode()
        self._cipher = AESGCM(hashlib.sha256(key.encode()).digest())
        self._clock = clock
        self._lock = Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS completed "
            "(registration_id TEXT PRIMARY KEY, user_id TEXT, at REAL, document BLOB)"
        )

    def accept(self, body: bytes, timestamp: str, signature: str, *, again: bool = False) -> tuple[int, str]:
        """Return the status code and the status word.

        again: write a row that is there already once more, so that a duplicate is durable too.
        """
        mac = "sha256=" + hmac.digest(self._token, timestamp.encode() + b"." + body, "sha256").hex()
        if not hmac.compare_digest(mac, signature):
            return 401, "error"
        if abs(self._clock() - int(timestamp)) > 300:
            return 401, "error"
        fields = json.loads(body)
        registration_id = fields["registration_id"]
        nonce = os.urandom(12)
        document = nonce + self._cipher.encrypt(nonce, body, registration_id.encode())
        with self._lock:
            changed = self._connection.execute(
                _INSERT_OR_UPDATE if again else _INSERT,
                (registration_id, fields["partner_user_id"], self._clock(), document),
            ).rowcount
        return 200, "accepted" if changed else "duplicate"

    def read(self, registration_id: str) -> dict[str, object]:
        """Return the fields that are stored for a registration."""
        with self._lock:
            (document,) = self._connection.execute(
                "SELECT document FROM completed WHERE registration_id = ?", (registration_id,)
            ).fetchone()
        fields: dict[str, object] = json.loads(
            self._cipher.decrypt(document[:12], document[12:], registration_id.encode())
        )
        return fields

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


PHRASES = {200: "200 OK", 401: "401 Unauthorized"}


def wsgi(receiver: Handwritten, *, again: bool = False) -> Callable[..., Iterable[bytes]]:
    """Return a raw WSGI application."""

    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        status, word = receiver.accept(
            body, environ["HTTP_X_CA_TIMESTAMP"], environ["HTTP_X_CA_SIGNATURE"], again=again
        )
        answer = json.dumps({"status": word}).encode()
        start_response(
            PHRASES[status], [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
        )
        return [answer]

    return application


def asgi(receiver: Handwritten) -> Callable[..., Awaitable[None]]:
    """Return a raw ASGI application. What blocks goes to a thread."""
    import asyncio

    async def application(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message.get("more_body", False)
        headers = dict(scope["headers"])
        status, word = await asyncio.to_thread(
            receiver.accept,
            body,
            headers[b"x-ca-timestamp"].decode(),
            headers[b"x-ca-signature"].decode(),
        )
        answer = json.dumps({"status": word}).encode()
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(answer)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    return application
