"""Paths below a mount, and the methods that an adapter's routes must take."""

from __future__ import annotations

from urllib.parse import unquote

from ca_embed._core import HasCore
from ca_embed.errors import ConfigurationError

METHODS: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""An adapter's routes take all of these. The core answers 405 where one does not fit the path."""


def relative_path(path: str, root_path: str) -> str:
    """Return the path below the mount. It begins with a slash and does not end with one.

    Hosts disagree on whether `path` includes `root_path`, and proxies on whether they strip it. So: if
    `path` is `root_path` or continues it at a slash, strip that; else drop leading segments of
    `root_path` one by one and try again.
    """
    return _below(path, root_path).removesuffix("/") or "/"


def _below(path: str, root_path: str) -> str:
    root = root_path.rstrip("/")
    while root:
        if path == root or path.startswith(root + "/"):
            return path[len(root) :]
        _, slash, rest = root.lstrip("/").partition("/")
        root = slash + rest
    return path


def path_below(rest: str | None) -> str:
    """Return the path below the mount, given what a catch-all route has matched (None: the bare mount)."""
    return relative_path("/" + (rest or ""), root_path="")


def mount_prefix(embed: HasCore, prefix: str | None = None) -> str:
    """Return the path to mount at: decoded, without a slash at its end, "" for the root.

    prefix: a path like "/chatarchitect"; by default the path of the Embed's `public_url`.
    """
    return unquote(embed._core.settings.public_path if prefix is None else prefix).rstrip("/")


_ENDPOINTS = {"sessions", "webhook", "health", "live", "openapi.json"}


def public_root(embed: HasCore) -> str:
    """Return the path that an application may take as its root: that of `public_url`.

    A proxy in front may keep it, or strip some of it. Both lead to the same path below the mount,
    unless a segment has the name of an endpoint: then return "".
    """
    root = mount_prefix(embed)
    return "" if _ENDPOINTS & {*root.split("/")} else root


def path_at_app(path: str, root_path: str, public: str) -> str:
    """Return the path below the mount, of a request that reaches `embed.wsgi` or `embed.asgi`.

    If the host's `root_path` is only the beginning of the public root, the path may go on with the rest.
    """
    inside, root = _below(path, root_path), root_path.rstrip("/")
    rest = public.removeprefix(root) if public.startswith(root + "/") else ""
    return relative_path(inside, rest)


def prefixes_below(mount: str, root_path: str) -> tuple[str, ...]:
    """Return the prefixes inside a host whose own root is `root_path`, for a mount that the world sees.

    It is the mount without `root_path`, or all of it, if the host does not know its root.
    """
    root = root_path.rstrip("/")
    return (mount.removeprefix(root), mount) if root and mount.startswith(root + "/") else (mount,)


def require_mount_prefix(embed: HasCore, prefix: str | None) -> str:
    """Return the path that a middleware takes over. Raises ConfigurationError for the root."""
    mount = mount_prefix(embed, prefix)
    if not mount.startswith("/") or mount.startswith("//"):
        raise ConfigurationError(
            ['the prefix must be a path like "/chatarchitect": all requests below it go to the Embed']
        )
    return mount
