"""A Litestar application with ca_embed inside. Run it with `python examples/litestar_app.py`."""

from typing import Any

import uvicorn
from litestar import Litestar, MediaType, Request, get, post
from litestar.config.csrf import CSRFConfig
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.response import Redirect
from local import PORT, home_page, login_page, settings

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.litestar import csrf_token, router

embed = Embed.from_env(identify=lambda request: request.session.get("user"), **settings())


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


@get("/", media_type=MediaType.HTML)
async def home(request: Request[Any, Any, Any]) -> str:
    """Show the button to a signed-in user, and the login form to others."""
    user, csrf = request.session.get("user"), csrf_token(request)
    if user is None:
        return login_page(f'<input type="hidden" name="_csrf_token" value="{csrf and csrf.token}">')
    return home_page(user, embed.snippet(csrf=csrf), await embed.aregistrations(user))


@post("/login")
async def login(request: Request[Any, Any, Any]) -> Redirect:
    """Sign in under any name, without a password."""
    request.session["user"] = (await request.form())["name"]
    return Redirect("/", status_code=303)


app = Litestar(
    [home, login, router(embed, "/chatarchitect")],
    middleware=[CookieBackendConfig(secret=b"fake-secret-of-an-example-fake-s").middleware],
    csrf_config=CSRFConfig(secret="fake-secret-of-an-example"),
)

if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning")
