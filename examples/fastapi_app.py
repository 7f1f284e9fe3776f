"""A FastAPI application with ca_embed inside. Run it with `python examples/fastapi_app.py`."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from local import PORT, home_page, login_page, name_in, settings
from starlette.middleware.sessions import SessionMiddleware

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.fastapi import router

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="fake-secret-of-an-example")


def current_user(request: Request) -> str | None:
    """Return the signed-in user, or None."""
    user: str | None = request.session.get("user")
    return user


embed = Embed.from_env(**settings())
app.include_router(router(embed, "/chatarchitect", current_user=current_user))


@embed.on_completed
async def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


@app.get("/")
async def home(request: Request) -> HTMLResponse:
    """Show the button to a signed-in user, and the login form to others."""
    user = current_user(request)
    if user is None:
        return HTMLResponse(login_page())
    return HTMLResponse(home_page(user, embed.snippet(), await embed.aregistrations(user)))


@app.post("/login")
async def login(request: Request) -> RedirectResponse:
    """Sign in under any name, without a password."""
    request.session["user"] = name_in(await request.body())
    return RedirectResponse("/", status_code=303)


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning")
