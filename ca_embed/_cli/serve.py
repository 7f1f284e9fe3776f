"""`serve`: the endpoints alone, for development and small set-ups behind a proxy that signs users in."""

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

# WSGI keeps the two that are left out elsewhere: nobody would ever be signed in by them.
_HEADER_NAME = re.compile(r"(?!content-(type|length)$)[a-z0-9-]+", re.IGNORECASE | re.ASCII)


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        help="serve the endpoints alone, without an application of yours",
        description="Serve the endpoints under the path of CA_EMBED_PUBLIC_URL. Users are known by "
        "--user-header, or by the identify function of --app; without either, nobody is signed in.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=port_number, default=8000, help="the port (%(default)s)")
    parser.add_argument(
        "--user-header",
        metavar="NAME",
        help="the header in which your proxy names the signed-in user. Whoever reaches this port "
        "without the proxy, or gets a header of that name through it, can be any user. A value with a comma "
        "in it counts as nobody: a header that came twice looks like that",
    )
    add_app_option(parser)
    parser.set_defaults(run=serve, log_level=logging.INFO)


def serve(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from ca_embed.wsgi import Middleware

    if args.app and args.user_header is not None:
        raise WrongUsage("--app brings its own identify; leave --user-header away")
    identify = None if args.user_header is None else user_in_header(args.user_header)
    embed = embed_of(args, identify=identify)
    _warn(args)
    try:
        _run(Middleware(_nothing_here, embed), args.host, args.port)
    finally:
        embed.close()
    return 0


def user_in_header(name: str) -> Callable[[WSGIEnvironment], str | None]:
    """Return an `identify` that believes the header of this name."""
    if not _HEADER_NAME.fullmatch(name):
        raise WrongUsage("--user-header is the name of a header of its own: letters, digits and hyphens")
    key = "HTTP_" + name.upper().replace("-", "_")

    def identify(environ: WSGIEnvironment) -> str | None:
        value: str = environ.get(key, "")
        if "," in value:  # servers join what came twice, and nobody can know whose was right
            raise NotSignedIn(f"{name} came twice, or names a user with a comma")
        return value.strip().encode("latin-1").decode() or None  # UTF-8 that PEP 3333 shows as latin-1

    return identify


def _warn(args: argparse.Namespace) -> None:
    if args.user_header:
        say(f"Believing the header {args.user_header}: let nobody reach this port but a proxy that sets it.")
    elif not args.app:
        say("Nobody is signed in: give --user-header or --app. Webhooks are accepted all the same.")
    if not args.app:
        say("Your on_completed handlers are not known here; --app MODULE:NAME brings them.")


def _run(app: WSGIApplication, host: str, port: int) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both servers know how Ctrl-C ends
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

    class Patient(WSGIRequestHandler):
        timeout = 30  # seconds; somebody who sends nothing does not hold a thread

    host, port, *_ = listening.getsockname()
    server = make_server(host, port, app, threaded=True, request_handler=Patient, fd=listening.fileno())
    _announce("werkzeug's development server (with waitress installed, waitress would)", listening)
    server.serve_forever()


def _announce(server: str, listening: socket.socket) -> None:
    host, port, *_ = listening.getsockname()
    say(f"Listening on {host} port {port}, served by {server}. Ctrl-C ends it.")


def _nothing_here(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer what is outside the mount."""
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return [b"Not found\n"]
