"""CherryPy: an object to mount.

    cherrypy.tree.mount(Endpoints(embed), "/chatarchitect")

`identify` gets `cherrypy.request`; `cherrypy.session` and `cherrypy.request.login` work.
`embed.snippet()` is the button.
"""

from __future__ import annotations

from typing import Any, ClassVar

import cherrypy

from ca_embed.adapters._shared import answer_wsgi
from ca_embed.embed import Embed


class Endpoints:
    """All endpoints of an Embed, below where it is mounted."""

    # CherryPy would parse forms away, ask for a length that chunked bodies have not, and recount answers.
    _cp_config: ClassVar[dict[str, Any]] = {"request.process_request_body": False, "tools.encode.on": False}
    exposed = True

    def __init__(self, embed: Embed) -> None:
        """Serve this Embed."""
        self._embed = embed

    def default(self, *_segments: str, **_query: Any) -> bytes:
        """Answer one request."""
        request = cherrypy.serving.request
        rest = request.path_info.removeprefix("/")
        response = answer_wsgi(self._embed, request.wsgi_environ, rest=rest, native=request)
        native = cherrypy.serving.response
        native.status = response.status
        native.headers.pop("Content-Type", None)  # CherryPy names one even where there is no body
        native.headers.update(response.headers)
        return response.body

    default.exposed = True  # type: ignore[attr-defined]  # how CherryPy wants a handler marked
