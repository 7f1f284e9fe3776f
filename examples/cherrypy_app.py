"""A CherryPy application with ca_embed inside. Run it with `python examples/cherrypy_app.py`."""

# mypy: disable-error-code="import-untyped,untyped-decorator"

from __future__ import annotations

import cherrypy
from local import PORT, home_page, login_page, settings

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.cherrypy import Endpoints

embed = Embed.from_env(identify=lambda _request: cherrypy.session.get("user"), **settings())


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


class Site:
    """The home page and the login."""

    @cherrypy.expose
    def index(self) -> str:
        """Show the button to a signed-in user, and the login form to others."""
        user = cherrypy.session.get("user")
        return home_page(user, embed.snippet(), embed.registrations(user)) if user else login_page()

    @cherrypy.expose
    def login(self, name: str) -> None:
        """Sign in under any name, without a password."""
        cherrypy.session["user"] = name
        raise cherrypy.HTTPRedirect("/")


sessions = {"/": {"tools.sessions.on": True}}
cherrypy.tree.mount(Site(), "/", sessions)
cherrypy.tree.mount(Endpoints(embed), "/chatarchitect", sessions)

if __name__ == "__main__":
    cherrypy.config.update({"server.socket_port": PORT, "log.screen": False, "engine.autoreload.on": False})
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.start()
    cherrypy.engine.block()
