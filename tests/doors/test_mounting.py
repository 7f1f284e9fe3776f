"""Under any prefix, in any host, the doors find their own path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from ca_embed import ConfigurationError, Embed, asgi, wsgi
from tests.doors.clients import AsgiClient, Client, WsgiClient, http_scope
from tests.doors.fixtures import ClientOf
from tests.flow.kit import build, closing, delivery


def host_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    """A host application that tells which path it got."""
    body = b"host " + environ.get("PATH_INFO", "").encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def host_asgi(scope: Any, receive: Any, send: Any) -> None:
    """A host application that tells which path it got, and supports lifespan."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete", "by": "host"})
        return
    body = b"host " + scope["path"].encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def embed() -> Iterator[Embed]:
    """An Embed, closed at the end."""
    with closing(built := build()):
        yield built


@pytest.fixture
def driven() -> Iterator[Callable[..., Client]]:
    """Clients of whole applications, closed at the end."""
    clients: list[Client] = []

    def drive(app: Any, kind: type[WsgiClient | AsgiClient], **surroundings: Any) -> Client:
        clients.append(kind(app, **surroundings))
        return clients[-1]

    yield drive
    for client in clients:
        client.close()


@pytest.mark.parametrize("path", ["/webhook", "/webhook/"])
def test_a_trailing_slash(client_of: ClientOf, path: str) -> None:
    """A path with a trailing slash is the same path. There is no redirect."""
    headers, body = delivery()
    answer = client_of(build()).request("POST", path, headers=headers, body=body)
    assert answer.json == {"status": "accepted"}


# --- WSGI ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script_name", "path_info", "status"),
    [
        ("", "/health", 200),
        ("/chatarchitect", "/health", 200),
        ("/outer/chatarchitect", "/health/", 200),
        ("/chatarchitect", "/", 200),
        ("/chatarchitect", "", 200),
        ("", "", 200),
        ("/health", "/chatarchitect/health", 404),
        ("/chatarchitect", "/caf\xc3\xa9", 404),
    ],
)
def test_script_name(embed: Embed, script_name: str, path_info: str, status: int) -> None:
    """The path is PATH_INFO without SCRIPT_NAME. An empty one is the root."""
    client = WsgiClient(embed.wsgi, SCRIPT_NAME=script_name, PATH_INFO=path_info)
    assert client.get("/").status == status


def test_mounts_in_mounts(embed: Embed) -> None:
    """A mount inside a mount works. A path that only begins like the prefix goes to the host."""
    inner = DispatcherMiddleware(host_wsgi, {"/chatarchitect": embed.wsgi})
    client = WsgiClient(DispatcherMiddleware(host_wsgi, {"/outer": inner}))
    assert client.get("/outer/chatarchitect/health").json == {"status": "ok"}
    assert client.get("/outer/chatarchitect").status == 200
    assert client.get("/outer/chatarchitectX/health").body == b"host /chatarchitectX/health"


# --- ASGI ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root_path", "path", "status"),
    [
        ("", "/health", 200),
        ("/chatarchitect", "/chatarchitect/health", 200),  # by the specification
        ("/chatarchitect/", "/chatarchitect/health", 200),
        ("/chatarchitect", "/health", 200),  # a host that strips
        ("", "/health/", 200),  # a host that strips and adds a slash
        ("/outer/chatarchitect", "/outer/chatarchitect/health", 200),
        ("/outer/chatarchitect", "/chatarchitect/health", 200),  # behind a proxy that strips
        ("/a/b/c", "/c/health", 200),
        ("/chatarchitect", "/chatarchitect", 200),
        ("/chatarchitect", "/chatarchitect/", 200),
        ("", "", 200),
        ("/health", "/health/health", 200),
        ("/chatarchitect", "/chatarchitectX/health", 404),
        ("/chatarchitec", "/chatarchitectX/health", 404),  # a host that matches half a name
        ("", "X/health/", 404),
        ("", "health", 404),
    ],
)
def test_root_path(embed: Embed, root_path: str, path: str, status: int) -> None:
    """The path below the mount is found, whether `path` includes `root_path` or not."""
    with closing(client := AsgiClient(embed.asgi, root_path=root_path)):
        assert client.get(path).status == status


def test_a_starlette_mount(embed: Embed, driven: Callable[..., Client]) -> None:
    """Starlette's and FastAPI's mounts work, also with a root_path behind a proxy that strips it."""
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.routing import Mount

    inner = Starlette(routes=[Mount("/inner", routes=[Mount("/chatarchitect", app=embed.asgi)])])
    assert driven(inner, AsgiClient).get("/inner/chatarchitect/health").json == {"status": "ok"}
    outer = FastAPI()
    outer.mount("/chatarchitect", embed.asgi)
    for path in ("/chatarchitect/health", "/outer/chatarchitect/health"):
        assert driven(outer, AsgiClient, root_path="/outer").get(path).json == {"status": "ok"}
    assert driven(outer, AsgiClient).deliver_at("/chatarchitect", delivery()).json == {"status": "accepted"}


def test_a_litestar_mount(embed: Embed, driven: Callable[..., Client]) -> None:
    """Litestar can mount the plain door, although it changes paths in its own way."""
    from litestar import Litestar
    from litestar.handlers import asgi as mounted

    host = Litestar(
        [mounted("/chatarchitect", is_mount=True, copy_scope=True)(embed.asgi)], openapi_config=None
    )
    client = driven(host, AsgiClient)
    assert client.get("/chatarchitect/health").json == {"status": "ok"}
    assert client.deliver_at("/chatarchitect", delivery()).json == {"status": "accepted"}
    assert client.get("/chatarchitecthealth").status == 404


# --- a proxy that keeps or strips a part of the path ----------------------------------------------

BEHIND = "https://crm.example/app/chatarchitect"
AT_THE_DOOR = [
    # the host's root, the path without it, and whether it is the mount's /health
    ("", "/app/chatarchitect/health", True),
    ("", "/chatarchitect/health", True),
    ("", "/health", True),
    ("/app", "/chatarchitect/health", True),
    ("/app", "/health", True),
    ("/app/chatarchitect", "/health", True),
    ("/app/chatarchitect", "/chatarchitect/health", False),
    ("", "/app/health", False),
    ("", "/other/chatarchitect/health", False),
    ("", "/appX/health", False),
]


@pytest.mark.parametrize(("root", "path", "found"), AT_THE_DOOR)
def test_a_proxy_before_a_door(driven: Callable[..., Client], root: str, path: str, found: bool) -> None:
    """A door alone finds its path, whatever part of the public path is stripped."""
    embed = build(public_url=BEHIND)
    status = 200 if found else 404
    assert WsgiClient(embed.wsgi, SCRIPT_NAME=root, PATH_INFO=path).get("/").status == status
    assert driven(embed.asgi, AsgiClient, root_path=root).get(root + path).status == status


@pytest.mark.parametrize("name", ["sessions", "live"])
def test_a_public_path_named_like_an_endpoint(driven: Callable[..., Client], name: str) -> None:
    """If the public path has the name of an endpoint, a door strips nothing by itself."""
    embed = build(public_url=f"https://crm.example/{name}")
    for client in (WsgiClient(embed.wsgi), driven(embed.asgi, AsgiClient)):
        assert client.get(f"/{name}/health").status == 404
        assert client.get("/live").status == 200
        assert client.get("/sessions/abc123def456ghi789jkl0").status == 404


def test_a_proxy_before_a_middleware(driven: Callable[..., Client]) -> None:
    """A middleware by default leaves out what the host knows as its root. It takes nothing else."""
    embed = build(public_url=BEHIND)
    app = wsgi.Middleware(host_wsgi, embed)
    for path in ("/chatarchitect/health", "/app/chatarchitect/health"):
        assert WsgiClient(app, SCRIPT_NAME="/app", PATH_INFO=path).get("/").status == 200
    asked = WsgiClient(app, SCRIPT_NAME="", PATH_INFO="/chatarchitect/health").get("/")
    assert asked.body == b"host /chatarchitect/health"
    inner = asgi.Middleware(host_asgi, embed)
    for path in ("/chatarchitect/health", "/app/chatarchitect/health"):
        assert driven(inner, AsgiClient, root_path="/app").get(path).status == 200
    answer = driven(inner, AsgiClient).get("/chatarchitect/health")
    assert answer.body == b"host /chatarchitect/health"
    told = asgi.Middleware(host_asgi, embed, "/app/chatarchitect")  # a prefix that is given is not changed
    assert driven(told, AsgiClient, root_path="/app").get("/chatarchitect/health").body.startswith(b"host ")


# --- the middlewares -----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [None, "/chatarchitect", "/chatarchitect/"])
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_middleware(embed: Embed, driven: Callable[..., Client], kind: str, prefix: str | None) -> None:
    """A middleware takes the paths below its prefix and no others.

    By default it is the path of public_url.
    """
    client = (
        driven(wsgi.Middleware(host_wsgi, embed, prefix), WsgiClient)
        if kind == "wsgi"
        else driven(asgi.Middleware(host_asgi, embed, prefix), AsgiClient)
    )
    assert client.get("/chatarchitect/health").json == {"status": "ok"}
    assert client.get("/chatarchitect/nowhere").code == "not_found"
    assert b"<ca-whatsapp-registration" in client.get("/chatarchitect").body
    assert client.deliver_at("/chatarchitect", delivery()).json == {"status": "accepted"}
    for path in ("/", "/chatarchitectX/health", "/health", "/x/chatarchitect/health"):
        assert client.get(path).body == b"host " + path.encode()


def test_a_deeper_prefix(embed: Embed, driven: Callable[..., Client]) -> None:
    """A prefix may have several segments, below a mount of the host's own."""
    app = wsgi.Middleware(host_wsgi, embed, "/a/b")
    client = driven(DispatcherMiddleware(host_wsgi, {"/outer": app}), WsgiClient)
    assert client.get("/outer/a/b/health").json == {"status": "ok"}
    assert client.get("/outer/a/health").body == b"host /a/health"
    for root_path, path in (("/outer", "/outer/a/b/health"), ("/outer", "/a/b/health"), ("", "/a/b/health")):
        client = driven(asgi.Middleware(host_asgi, embed, "/a/b"), AsgiClient, root_path=root_path)
        assert client.get(path).json == {"status": "ok"}


@pytest.mark.parametrize("prefix", ["/café", "/caf%C3%A9"])
def test_a_prefix_beyond_ascii(embed: Embed, driven: Callable[..., Client], prefix: str) -> None:
    """A prefix matches in plain text and as it is written in a URL."""
    for client in (
        driven(wsgi.Middleware(host_wsgi, embed, prefix), WsgiClient),
        driven(asgi.Middleware(host_asgi, embed, prefix), AsgiClient),
    ):
        assert client.get("/café/health").json == {"status": "ok"}


@pytest.mark.parametrize("prefix", ["", "/", "//chatarchitect", "chatarchitect"])
def test_a_prefix_that_is_none(embed: Embed, prefix: str) -> None:
    """A prefix is refused at once if it would hide the whole host, or if no path begins with it."""
    with pytest.raises(ConfigurationError, match="prefix"):
        wsgi.Middleware(host_wsgi, embed, prefix)
    with pytest.raises(ConfigurationError, match="prefix"):
        asgi.Middleware(host_asgi, embed, prefix)


def test_a_middleware_leaves_lifespan_to_the_host(embed: Embed) -> None:
    """The ASGI middleware passes lifespan to the host's application."""
    from asgiref.testing import ApplicationCommunicator

    app = asgi.Middleware(host_asgi, embed)
    with closing(client := AsgiClient(app)):

        async def start() -> Any:
            communicator = ApplicationCommunicator(app, {"type": "lifespan"})
            await communicator.send_input({"type": "lifespan.startup"})
            return await communicator.receive_output()

        assert client.run(start())["by"] == "host"


def test_a_middleware_keeps_the_scope_of_the_host(embed: Embed) -> None:
    """The middleware changes a copy of the scope, never the host's own."""
    with closing(client := AsgiClient(app := asgi.Middleware(host_asgi, embed))):
        scope = http_scope("GET", "/chatarchitect/health")
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            sent.append(message)

        client.run(app(scope, receive, send))
        assert scope == http_scope("GET", "/chatarchitect/health")
        assert sent[0]["status"] == 200
