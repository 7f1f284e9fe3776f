"""CherryPy: an object to mount.

    cherrypy.tree.mount(Endpoints(embed), "/chatarchitect")

`identify` gets `cherrypy.request`; `cherrypy.session` and `cherrypy.request.login` work.
`embed.snippet()` returns the button.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.wsgi import answer_environ

with extra("cherrypy", user=__name__):
    import cherrypy

__all__ = ["Endpoints"]


class Endpoints:
    """All endpoints of an Embed, below the path where it is mounted."""

    # CherryPy would consume forms, demand a length that chunked bodies lack, and set a length of its own.
    _cp_config: ClassVar[dict[str, Any]] = {"request.process_request_body": False, "tools.encode.on": False}
    exposed = True

    def __init__(self, embed: Embed) -> None:
        """Serve this Embed."""
        self._embed = embed

    def default(self, *_segments: str, **_query: Any) -> bytes:
        """Answer one request."""
        request = cherrypy.serving.request
        rest = request.path_info.removeprefix("/")
        response = answer_environ(self._embed, request.wsgi_environ, rest=rest, native=request)
        native = cherrypy.serving.response
        native.status = response.status
        native.headers.pop("Content-Type", None)  # CherryPy sets one even without a body
        native.headers.update(response.headers)
        return response.body

    default.exposed = True  # type: ignore[attr-defined]  # CherryPy serves only marked handlers
