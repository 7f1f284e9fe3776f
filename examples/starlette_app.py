"""A Starlette application with ca_embed inside. Run it with `python examples/starlette_app.py`."""

from __future__ import annotations

import uvicorn
from local import PORT, home_page, login_page, name_in, settings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.starlette import routes

embed = Embed.from_env(identify=lambda request: request.session.get("user"), **settings())


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


async def home(request: Request) -> HTMLResponse:
    """Show the button to a signed-in user, and the login form to others."""
    user = request.session.get("user")
    if user is None:
        return HTMLResponse(login_page())
    return HTMLResponse(home_page(user, embed.snippet(), await embed.aregistrations(user)))


async def login(request: Request) -> RedirectResponse:
    """Sign in under any name, without a password."""
    request.session["user"] = name_in(await request.body())
    return RedirectResponse("/", status_code=303)


app = Starlette(
    routes=[
        Route("/", home),
        Route("/login", login, methods=["POST"]),
        *routes(embed, "/chatarchitect"),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key="fake-secret-of-an-example")],
)

if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning")
