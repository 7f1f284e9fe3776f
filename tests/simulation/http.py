"""Requests through the WSGI door, without a server."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ca_embed import Embed


@dataclass(frozen=True)
class Answer:
    """What a request was answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON; None if it is empty."""
        return json.loads(self.body) if self.body else None


def request(
    embed: Embed,
    method: str,
    path: str,
    *,
    user: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """Send a request. `user`: the one that is signed in; `identify` finds it in the environ."""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "https",
        "SERVER_NAME": "crm.example",
        "SERVER_PORT": "443",
        "user": user,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()},
    }
    started: list[Any] = []
    answer = b"".join(embed.wsgi(environ, lambda status, fields: started.append((status, fields))))
    return Answer(int(started[0][0].split()[0]), started[0][1], answer)
