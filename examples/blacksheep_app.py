"""A BlackSheep application with ca_embed inside. Run it with `python examples/blacksheep_app.py`."""

import uvicorn
from blacksheep import Application, Request, Response, html, redirect
from local import PORT, home_page, login_page, name_in, settings

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.blacksheep import mount

app = Application()
app.use_sessions("fake-secret-of-an-example")
embed = Embed.from_env(identify=lambda request: request.session.get("user"), **settings())
mount(app, embed, "/chatarchitect")


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


@app.router.get("/")
async def home(request: Request) -> Response:
    """Show the button to a signed-in user, and the login form to others."""
    user = request.session.get("user")
    return html(home_page(user, embed.snippet(), await embed.aregistrations(user)) if user else login_page())


@app.router.post("/login")
async def login(request: Request) -> Response:
    """Sign in under any name, without a password."""
    request.session["user"] = name_in(await request.read() or b"")
    return redirect("/")


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning")
