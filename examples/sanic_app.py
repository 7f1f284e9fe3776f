"""A Sanic application with ca_embed inside. Run it with `python examples/sanic_app.py`."""

from __future__ import annotations

from local import PORT, home_page, login_cookie, login_page, name_in, settings, user_of
from sanic import HTTPResponse, Request, Sanic, html
from sanic.response import redirect

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.sanic import blueprint

app = Sanic("crm")
embed = Embed.from_env(identify=lambda request: user_of(request.headers.get("Cookie", "")), **settings())
app.blueprint(blueprint(embed, "/chatarchitect"))


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


@app.get("/")
async def home(request: Request) -> HTTPResponse:
    """Show the button to a signed-in user, and the login form to others."""
    user = user_of(request.headers.get("Cookie", ""))
    return html(home_page(user, embed.snippet(), await embed.aregistrations(user)) if user else login_page())


@app.post("/login")
async def login(request: Request) -> HTTPResponse:
    """Sign in under any name, without a password."""
    return redirect("/", status=303, headers={"Set-Cookie": login_cookie(name_in(request.body))})


if __name__ == "__main__":
    app.run("127.0.0.1", PORT, single_process=True, motd=False)
