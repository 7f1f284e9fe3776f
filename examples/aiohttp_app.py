"""An aiohttp application with ca_embed inside. Run it with `python examples/aiohttp_app.py`."""

from __future__ import annotations

from aiohttp import web
from local import PORT, home_page, login_cookie, login_page, name_in, settings, user_of

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.aiohttp import routes

embed = Embed.from_env(identify=lambda request: user_of(request.headers.get("Cookie", "")), **settings())


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


async def home(request: web.Request) -> web.Response:
    """Show the button to a signed-in user, and the login form to others."""
    user = user_of(request.headers.get("Cookie", ""))
    page = home_page(user, embed.snippet(), await embed.aregistrations(user)) if user else login_page()
    return web.Response(text=page, content_type="text/html")


async def login(request: web.Request) -> web.Response:
    """Sign in under any name, without a password."""
    cookie = login_cookie(name_in(await request.read()))
    return web.Response(status=303, headers={"Location": "/", "Set-Cookie": cookie})


app = web.Application()
app.add_routes([web.get("/", home), web.post("/login", login), *routes(embed, "/chatarchitect")])

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=PORT, print=None)
