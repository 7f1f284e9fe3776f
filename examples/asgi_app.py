"""A plain ASGI application with ca_embed inside. Run it with `python examples/asgi_app.py`."""

from __future__ import annotations

from typing import Any

import uvicorn
from local import PORT, home_page, login_cookie, login_page, name_in, settings, user_of

from ca_embed import Credentials, Embed, Registration
from ca_embed.asgi import Middleware


def signed_in_user(scope: Any) -> str | None:
    """Return the signed-in user, or None."""
    return user_of(dict(scope["headers"]).get(b"cookie", b"").decode("latin-1"))


embed = Embed.from_env(identify=signed_in_user, **settings())


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


async def site(scope: Any, receive: Any, send: Any) -> None:
    """Show the button to a signed-in user, and the login form to others. Any name may sign in."""
    if scope["type"] != "http":
        return
    user = signed_in_user(scope)
    status, headers, page = 200, [(b"content-type", b"text/html; charset=utf-8")], login_page()
    if scope["method"] == "POST":
        cookie = login_cookie(name_in((await receive())["body"]))
        status, headers = 303, [(b"location", b"/"), (b"set-cookie", cookie.encode())]
    elif user:
        page = home_page(user, embed.snippet(), await embed.aregistrations(user))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": page.encode()})


app = Middleware(site, embed, "/chatarchitect")

if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning", lifespan="off")
