"""What the examples share: their port, their settings, two pages and a login cookie.

If the environment has the variables `CA_EMBED_...`, an example talks to ChatArchitect. Without them it
starts a sandbox and talks to that, so no account is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hmac import compare_digest, new
from html import escape
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from ca_embed import Registration

PORT = int(os.environ.get("PORT", "8000"))
URL = f"http://127.0.0.1:{PORT}"


def settings() -> dict[str, Any]:
    """Return arguments for `Embed.from_env`: none if the environment has them, else those of a sandbox."""
    print(f"Open {URL}/", flush=True)
    if "CA_EMBED_BASE_URL" in os.environ:
        return {}
    from ca_embed.sandbox import Sandbox

    sandbox = Sandbox().start()
    print(f"The sandbox shows what happens at {sandbox.base_url}/sandbox", flush=True)
    return {
        "base_url": sandbox.base_url,
        "partner_token": sandbox.partner_token,
        "public_url": f"{URL}/chatarchitect",
        "storage": "memory:",
        "encryption_keys": "fake-encryption-key-of-an-example",
    }


def login_page(extra: str = "") -> str:
    """Return a login form that takes any name. `extra` is HTML inside the form."""
    return f'<form method="post" action="/login">{extra}<input name="name"><button>Sign in</button></form>'


def home_page(user: str, snippet: str, registrations: Iterable[Registration]) -> str:
    """Return the page that shows the button and the user's registrations."""
    numbers = "".join(f"<li>{escape(found.phone or '')} is {found.status}</li>" for found in registrations)
    return f"<!doctype html><title>My CRM</title><h1>Hello {escape(user)}</h1>{snippet}<ul>{numbers}</ul>"


def name_in(form: bytes) -> str:
    """Return the name in a submitted login form."""
    return parse_qs(form.decode())["name"][0]


def login_cookie(user: str) -> str:
    """Return the Set-Cookie header of a login, for frameworks without sessions."""
    return f"user={quote(user)}.{_signature(user)}; Path=/; HttpOnly; SameSite=Lax"


def user_of(cookies: str) -> str | None:
    """Return the signed-in user from the Cookie header, or None."""
    if "user" not in (jar := SimpleCookie(cookies)):
        return None
    name, _, signature = jar["user"].value.rpartition(".")
    return unquote(name) if compare_digest(signature.encode(), _signature(unquote(name)).encode()) else None


def _signature(user: str) -> str:
    return new(_SECRET, user.encode(), "sha256").hexdigest()


_SECRET = os.urandom(32)  # new at each start, so all users must sign in again
