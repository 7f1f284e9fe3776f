"""A Tornado application with ca_embed inside. Run it with `python examples/tornado_app.py`."""

from __future__ import annotations

import asyncio

from local import PORT, home_page, login_page, settings
from tornado.web import Application, RequestHandler

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.tornado import rules, xsrf_token

embed = Embed.from_env(identify=lambda handler: handler.current_user, **settings())


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


class Base(RequestHandler):
    """The base class of all handlers: it knows the signed-in user."""

    def get_current_user(self) -> str | None:
        """Return the signed-in user, or None."""
        user = self.get_signed_cookie("user")
        return user.decode() if user else None


class Home(Base):
    """The home page."""

    async def get(self) -> None:
        """Show the button to a signed-in user, and the login form to others."""
        user = self.current_user
        if user is None:
            self.write(login_page(self.xsrf_form_html()))
        else:
            snippet = embed.snippet(csrf=xsrf_token(self))
            self.write(home_page(user, snippet, await embed.aregistrations(user)))


class Login(Base):
    """The login."""

    def post(self) -> None:
        """Sign in under any name, without a password."""
        self.set_signed_cookie("user", self.get_body_argument("name"))
        self.redirect("/")


app = Application(
    [("/", Home), ("/login", Login), *rules(embed, "/chatarchitect", base=Base)],
    cookie_secret="fake-secret-of-an-example",
    xsrf_cookies=True,
)


async def main() -> None:
    """Serve until the process is stopped."""
    app.listen(PORT, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
