"""The CherryPy adapter, on CherryPy's own server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from cheroot.wsgi import Server
from cherrypy._cptree import Tree

from ca_embed.adapters.cherrypy import Endpoints
from ca_embed.testing import AdapterContract, Site
from tests.adapters.programs import EXAMPLES


class TestCherryPy(AdapterContract):
    program, program_app = EXAMPLES / "cherrypy_app.py", "cherrypy.tree"
    sees_repeated_headers = False

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        tree = Tree()
        tree.mount(Endpoints(site.embed), site.below + site.prefix)
        address = site.listener.getsockname()
        site.listener.close()
        server = Server(address, tree)
        server.prepare()
        thread = Thread(target=server.serve)
        thread.start()
        yield
        server.stop()
        thread.join()

    def user_of(self, request: Any) -> str | None:
        return request.headers.get("X-User")
