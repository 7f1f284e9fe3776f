"""What the examples share: where they listen, what they are set up with, two pages and a cookie.

With the variables `CA_EMBED_...` in the environment an example talks to ChatArchitect; without them, to a
sandbox that it starts itself, so that there is nothing to sign up for.
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
    """Return arguments for `Embed.from_env`: none, or those of a sandbox."""
    print(f"Open {URL}/", flush=True)
    if "CA_EMBED_BASE_URL" in os.environ:
        return {}
    from ca_embed.sandbox import Sandbox

    sandbox = Sandbox().start()
    print(f"The sandbox tells what happens at {sandbox.base_url}/sandbox", flush=True)
    return {
        "base_url": sandbox.base_url,
        "partner_token": sandbox.partner_token,
        "public_url": f"{URL}/chatarchitect",
        "storage": "memory:",
        "encryption_keys": "fake-encryption-key-of-an-example",
    }


def login_page(extra: str = "") -> str:
    """Return a login form: any name will do."""
    return f'<form method="post" action="/login">{extra}<input name="name"><button>Sign in</button></form>'


def home_page(user: str, snippet: str, registrations: Iterable[Registration]) -> str:
    """Return the page that shows the button, and the numbers that are connected."""
    numbers = "".join(f"<li>{escape(found.phone or '')} is {found.status}</li>" for found in registrations)
    return f"<!doctype html><title>My CRM</title><h1>Hello {escape(user)}</h1>{snippet}<ul>{numbers}</ul>"


def name_in(form: bytes) -> str:
    """Return the name that the login form was sent with."""
    return parse_qs(form.decode())["name"][0]


def login_cookie(user: str) -> str:
    """Return the Set-Cookie of a login, for frameworks that have no session of their own."""
    return f"user={quote(user)}.{_signature(user)}; Path=/; HttpOnly; SameSite=Lax"


def user_of(cookies: str) -> str | None:
    """Return who is signed in, from the header Cookie."""
    if "user" not in (jar := SimpleCookie(cookies)):
        return None
    name, _, signature = jar["user"].value.rpartition(".")
    return unquote(name) if compare_digest(signature, _signature(unquote(name))) else None


def _signature(user: str) -> str:
    return new(_SECRET, user.encode(), "sha256").hexdigest()


_SECRET = os.urandom(32)  # another one after each start: then everybody signs in again
