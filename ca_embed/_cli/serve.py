"""`serve`: the endpoints alone, for development, or behind a proxy that signs users in."""

from __future__ import annotations

import argparse
import logging
import re
import signal
import socket
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ca_embed._cli.command import Commands, port_number
from ca_embed._cli.output import WrongUsage, say
from ca_embed._cli.source import add_app_option, embed_of
from ca_embed.errors import NotSignedIn

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Not Content-Type and Content-Length: WSGI has no HTTP_... key for these, so no user would be found.
_HEADER_NAME = re.compile(r"(?!content-(type|length)$)[a-z0-9-]+", re.IGNORECASE | re.ASCII)


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        help="serve the endpoints alone, without an application of yours",
        description="Serve the endpoints under the path of CA_EMBED_PUBLIC_URL. Users are known by "
        "--user-header, or by the identify function of --app. Without either, no one is signed in.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port_number, default=8000, help="the port (default: %(default)s)")
    parser.add_argument(
        "--user-header",
        metavar="NAME",
        help="the header in which your proxy names the signed-in user. A client that reaches this port "
        "without the proxy, or gets such a header through it, can be any user. A value with a comma signs no "
        "one in, because a repeated header looks like that",
    )
    add_app_option(parser)
    parser.set_defaults(run=serve, log_level=logging.INFO)


def serve(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from ca_embed.wsgi import Middleware

    if args.app and args.user_header is not None:
        raise WrongUsage("--app has its own identify; remove --user-header")
    identify = None if args.user_header is None else user_in_header(args.user_header)
    embed = embed_of(args, identify=identify)
    _warn(args)
    try:
        _run(Middleware(_not_found, embed), args.host, args.port)
    finally:
        embed.close()
    return 0


def user_in_header(name: str) -> Callable[[WSGIEnvironment], str | None]:
    """Return an `identify` that trusts this header. Raises WrongUsage for a wrong name."""
    if not _HEADER_NAME.fullmatch(name):
        raise WrongUsage(
            "--user-header is the name of a header, like X-Remote-User: letters, digits and hyphens"
        )
    key = "HTTP_" + name.upper().replace("-", "_")

    def identify(environ: WSGIEnvironment) -> str | None:
        value: str = environ.get(key, "")
        if "," in value:  # servers join repeated headers, and the client may have sent one of them
            raise NotSignedIn(f"{name} came twice, or names a user with a comma")
        return value.strip().encode("latin-1").decode() or None  # PEP 3333 decodes headers as latin-1

    return identify


def _warn(args: argparse.Namespace) -> None:
    if args.user_header:
        say(f"Trusting the header {args.user_header}: only a proxy that sets it may reach this port.")
    elif not args.app:
        say("No one is signed in: give --user-header or --app. Webhooks are accepted nevertheless.")
    if not args.app:
        say("No on_completed handler runs here; give --app MODULE:NAME to have yours.")


def _run(app: WSGIApplication, host: str, port: int) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM then ends both servers as Ctrl-C does
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        run = _run_waitress if find_spec("waitress") else _run_werkzeug
        run(app, listening)


def _run_waitress(app: WSGIApplication, listening: socket.socket) -> None:
    server = import_module("waitress").create_server(app, sockets=[listening])
    _announce("waitress", listening)
    server.run()


def _run_werkzeug(app: WSGIApplication, listening: socket.socket) -> None:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class TimedHandler(WSGIRequestHandler):
        timeout = 30  # seconds; a client that sends nothing must not hold a thread for ever

    host, port, *_ = listening.getsockname()
    server = make_server(host, port, app, threaded=True, request_handler=TimedHandler, fd=listening.fileno())
    _announce("werkzeug's development server (install waitress for production)", listening)
    server.serve_forever()


def _announce(server: str, listening: socket.socket) -> None:
    host, port, *_ = listening.getsockname()
    say(f"Listening on {host} port {port}, served by {server}. Ctrl-C ends it.")


def _not_found(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Return 404 for paths outside the mount."""
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return [b"Not found\n"]
