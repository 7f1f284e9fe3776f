"""The ASGI door under asgion's rules, if this Python is new enough for asgion."""

from __future__ import annotations

import sys
from typing import Any

from ca_embed import asgi
from ca_embed.sandbox import Sandbox
from tests.doors.clients import AsgiClient
from tests.flow.kit import at_sandbox, closing, delivery

PATHS = ("/", "/sessions", "/sessions/x", "/webhook", "/ca-embed.js", "/health", "/nowhere")

if sys.version_info >= (3, 12):

    def test_conformance(sandbox: Sandbox) -> None:
        """For every route, error and protocol, asgion finds no problem, also at its strictest setting."""
        from asgion import Inspector

        embed = at_sandbox(sandbox)
        for app in (embed.asgi, asgi.Middleware(embed.asgi, embed)):
            inspector = Inspector(app)
            with closing(client := AsgiClient(inspector)):
                for method in ("GET", "HEAD", "POST", "OPTIONS"):
                    for path in PATHS:
                        client.request(method, path)
                client.deliver(delivery(token=sandbox.partner_token))
                client.post("/webhook", b" " * 70_000)
                client.get("/ca-embed.js", if_none_match="*")
                client.exchange("POST", "/webhook", (), [{"type": "http.disconnect"}])
                client.run(_live(inspector))
                client.run(_knock(inspector))
            # The length that GET would have is right for HEAD (RFC 9110, 9.3.2).
            assert [
                one for one in inspector.violations if (one.rule_id, one.method) != ("SEM-003", "HEAD")
            ] == []
        embed.close()

    async def _live(app: Any) -> None:
        from asgiref.testing import ApplicationCommunicator

        communicator = ApplicationCommunicator(app, {"type": "lifespan", "asgi": {"version": "3.0"}})
        await communicator.send_input({"type": "lifespan.startup"})
        await communicator.receive_output()
        await communicator.send_input({"type": "lifespan.shutdown"})
        await communicator.receive_output()
        await communicator.wait()

    async def _knock(app: Any) -> None:
        from asgiref.testing import ApplicationCommunicator

        from tests.doors.clients import http_scope

        scope = http_scope("GET", "/webhook") | {"type": "websocket", "scheme": "ws", "subprotocols": []}
        del scope["method"]
        communicator = ApplicationCommunicator(app, scope)
        await communicator.send_input({"type": "websocket.connect"})
        await communicator.receive_output()
        await communicator.wait()
