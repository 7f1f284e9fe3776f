"""The files of the pages, and the headers of their responses."""

from __future__ import annotations

from importlib import resources

from werkzeug import Response

from ca_embed.sandbox._inputs import Refusal

_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)


def page(name: str, *, frame_ancestors: str, status: int = 200) -> Response:
    """Return a page. Its policy allows the sandbox's own files only."""
    response = _file(name)
    response.status_code = status
    policy = (*_POLICY, f"frame-ancestors {frame_ancestors}")
    response.headers["Content-Security-Policy"] = "; ".join(policy)
    return response


def asset(name: str) -> Response:
    """Return a script, style sheet or picture. Raises Refusal 404 for another name."""
    if name.endswith(".html"):
        raise Refusal(404, "Not found")
    return _file(name)


def _file(name: str) -> Response:
    folder = resources.files("ca_embed.sandbox") / "static"
    names = {entry.name for entry in folder.iterdir()}
    content_type = _TYPES.get(name.rpartition(".")[2])
    if name not in names or content_type is None:
        raise Refusal(404, "Not found")
    response = Response((folder / name).read_bytes(), content_type=f"{content_type}; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache"
    return response
