"""Without a prefix, an adapter mounts at the path of public_url, however that is spelled in a URL."""

from __future__ import annotations

from collections.abc import Callable

import bottle
import falcon
import flask
import pytest
import quart
import starlette.applications

from ca_embed import Embed
from ca_embed.adapters import bottle as for_bottle
from ca_embed.adapters import falcon as for_falcon
from ca_embed.adapters import flask as for_flask
from ca_embed.adapters import quart as for_quart
from ca_embed.adapters import starlette as for_starlette
from tests.doors.clients import AsgiClient, Client, WsgiClient
from tests.flow.kit import build, closing


def _in_flask(embed: Embed) -> Client:
    app = flask.Flask(__name__)
    app.register_blueprint(for_flask.blueprint(embed))
    return WsgiClient(app)


def _in_quart(embed: Embed) -> Client:
    app = quart.Quart(__name__)
    app.register_blueprint(for_quart.blueprint(embed))
    return AsgiClient(app)


def _in_bottle(embed: Embed) -> Client:
    app = bottle.Bottle()
    for_bottle.mount(app, embed)
    return WsgiClient(app)


def _in_falcon(embed: Embed) -> Client:
    app: falcon.App[falcon.Request, falcon.Response] = falcon.App()
    for_falcon.mount(app, embed)
    return WsgiClient(app)


def _in_starlette(embed: Embed) -> Client:
    return AsgiClient(starlette.applications.Starlette(routes=for_starlette.routes(embed)))


@pytest.mark.parametrize("host", [_in_flask, _in_quart, _in_bottle, _in_falcon, _in_starlette])
def test_a_path_beyond_ascii(host: Callable[[Embed], Client]) -> None:
    """A path that has to be percent-encoded in public_url is found by the server that decodes it."""
    with closing(embed := build(public_url="https://crm.example/caf%C3%A9/x"), client := host(embed)):
        assert client.get("/café/x/health").json == {"status": "ok"}
