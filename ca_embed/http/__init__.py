"""Requests, responses and routes, without a socket: what an adapter for a web framework needs.

    from ca_embed.http import METHODS, answer, mount_prefix    # a framework on an event loop
    from ca_embed.http import Request, respond, read_stream    # any other

An adapter translates its framework's request, and the `Response` back; "Write your own" in the page on
adapters shows one. Which endpoint answers, and every check of method, path, length and size, is decided here.
"""

from __future__ import annotations

from ca_embed.assets._html import Csrf
from ca_embed.http._body import MAX_BODY, read_chunks, read_stream
from ca_embed.http._drivers import answer, arespond, respond
from ca_embed.http._messages import Request, Response
from ca_embed.http._paths import METHODS, mount_prefix, path_below, relative_path

__all__ = [
    "MAX_BODY",
    "METHODS",
    "Csrf",
    "Request",
    "Response",
    "answer",
    "arespond",
    "mount_prefix",
    "path_below",
    "read_chunks",
    "read_stream",
    "relative_path",
    "respond",
]
