"""A Falcon application with ca_embed inside. Run it with `python examples/falcon_app.py`."""

from __future__ import annotations

import falcon
from local import PORT, home_page, login_cookie, login_page, name_in, settings, user_of
from werkzeug.serving import run_simple

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.falcon import mount

embed = Embed.from_env(identify=lambda req: user_of(req.get_header("Cookie", default="")), **settings())


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


class Home:
    """The home page."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the button to a signed-in user, and the login form to others."""
        user = user_of(req.get_header("Cookie", default=""))
        resp.content_type = falcon.MEDIA_HTML
        resp.text = home_page(user, embed.snippet(), embed.registrations(user)) if user else login_page()


class Login:
    """The login."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Sign in under any name, without a password."""
        resp.append_header("Set-Cookie", login_cookie(name_in(req.bounded_stream.read())))
        resp.status, resp.location = falcon.HTTP_303, "/"


app = falcon.App()
app.add_route("/", Home())
app.add_route("/login", Login())
mount(app, embed, "/chatarchitect")

if __name__ == "__main__":
    run_simple("127.0.0.1", PORT, app, threaded=True)
