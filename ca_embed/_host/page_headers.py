"""Checks whether the headers of a host's page let the registration work. Pure.

A security header of the page that shows the iframe is the most common reason why a registration cannot be
finished. Often it is a framework's default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from ca_embed._urls import DEFAULT_PORTS, origin_of

# What the iframe needs, and what breaks without it (guide, "Embed the Iframe").
FEATURES = {
    "clipboard-write": "the iframe's copy buttons do nothing",
    "fullscreen": "nothing in the iframe can go full screen",
    "encrypted-media": "protected media in the iframe does not play",
}
_SOME_ORIGIN = "<ChatArchitect's origin>"
_NEEDED_IN_SANDBOX = (
    "allow-scripts",
    "allow-same-origin",
    "allow-forms",
    "allow-popups",
    "allow-popups-to-escape-sandbox",
)
_POLICY_ENTRY = re.compile(r"([a-z-]+)=(\*|self|\([^)]*\)|\"[^\"]*\")")


def check_host_headers(
    headers: Mapping[str, str] | Iterable[tuple[str, str]], *, iframe_origin: str | None = None
) -> list[str]:
    """Return what to change in the headers of the page that shows the iframe, one text for each change.

    headers: the page's response headers, as a mapping or as pairs (a name may occur more than once).
    iframe_origin: the origin of ChatArchitect's page, which is the origin of `base_url`. Without it, a
        header is accepted if it allows any other origin.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    page = _Headers(pairs)
    origin = None if iframe_origin is None else origin_of(iframe_origin)
    return [
        *_opener_policy(page),
        *_embedder_policy(page),
        *_content_policy(page, origin),
        *_permissions(page, origin),
    ]


class _Headers:
    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = [(name.lower(), value) for name, value in pairs]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def token(self, name: str) -> str:
        """Return the last value of a header, without its parameters; "" if there is none."""
        values = self.all(name)
        return values[-1].partition(";")[0].strip().lower() if values else ""


def _opener_policy(page: _Headers) -> Iterator[str]:
    policy = page.token("cross-origin-opener-policy")
    # Under these, a popup of another origin loses its opener, and Meta's signup cannot report back.
    if policy in ("same-origin", "same-origin-plus-coep"):
        yield (
            f"Cross-Origin-Opener-Policy: {policy} keeps Meta's signup from opening its window. "
            "Send same-origin-allow-popups on this page."
        )


def _embedder_policy(page: _Headers) -> Iterator[str]:
    policy = page.token("cross-origin-embedder-policy")
    if policy in ("require-corp", "credentialless"):
        yield (
            f"Cross-Origin-Embedder-Policy: {policy} blocks the iframe. "
            "Remove the header from this page, or send unsafe-none."
        )


# --- Content-Security-Policy (CSP Level 3) ---------------------------------------------------------


def _content_policy(page: _Headers, origin: str | None) -> Iterator[str]:
    for header in page.all("content-security-policy"):
        for policy in header.split(","):
            yield from _one_policy(_directives(policy), origin)


def _directives(policy: str) -> dict[str, list[str]]:
    directives: dict[str, list[str]] = {}
    for directive in policy.split(";"):
        name, *sources = directive.split() or [""]
        directives.setdefault(name.lower(), sources)  # of two with the same name, the first counts
    return directives


def _one_policy(directives: dict[str, list[str]], origin: str | None) -> Iterator[str]:
    name, sources = _effective(directives, "frame-src", "child-src", "default-src")
    if sources is not None and not any(_allows(source, origin) for source in sources):
        yield f"Content-Security-Policy: {name} blocks the iframe. Add {origin or _SOME_ORIGIN} to frame-src."
    name, sources = _effective(directives, "script-src-elem", "script-src", "default-src")
    if sources is not None and not _names_anything(sources):
        yield f"Content-Security-Policy: {name} blocks ca-embed.js. Add 'self' or a nonce to script-src."
    name, sources = _effective(directives, "connect-src", "default-src")
    if sources is not None and not _names_anything(sources):
        yield f"Content-Security-Policy: {name} blocks the calls to your backend. Add 'self' to connect-src."
    if "sandbox" in directives:
        granted = {flag.lower() for flag in directives["sandbox"]}
        if missing := [flag for flag in _NEEDED_IN_SANDBOX if flag not in granted]:
            yield f"Content-Security-Policy: sandbox restricts the iframe too. Add {' '.join(missing)}."


def _effective(directives: dict[str, list[str]], *names: str) -> tuple[str, list[str] | None]:
    """Return the first of these directives that the policy has. The later ones are its fallbacks."""
    for name in names:
        if name in directives:
            return name, directives[name]
    return "", None


def _names_anything(sources: list[str]) -> bool:
    return any(source.lower() not in ("'none'", "'report-sample'") for source in sources)


def _allows(source: str, origin: str | None) -> bool:
    """Tell whether a source expression matches an origin (CSP Level 3, section 6.7.2.8)."""
    if origin is None:
        return not source.startswith("'")
    wanted = urlsplit(origin)
    expression = source.lower()
    if expression == "*":
        return True
    if expression.endswith(":") and "//" not in expression:
        return _scheme_fits(expression[:-1], wanted.scheme)
    if expression.startswith("'"):
        return False
    scheme, separator, rest = expression.rpartition("://")
    if separator and not _scheme_fits(scheme, wanted.scheme):
        return False
    host, _, port = rest.partition("/")[0].partition(":") if "[" not in rest else (rest, "", "")
    return _host_fits(host, wanted.hostname or "") and _port_fits(port, wanted.port, wanted.scheme)


def _scheme_fits(scheme: str, wanted: str) -> bool:
    return scheme == wanted or (scheme == "http" and wanted == "https")


def _host_fits(host: str, wanted: str) -> bool:
    return wanted.endswith(host[1:]) if host.startswith("*.") else host == wanted


def _port_fits(port: str, wanted: int | None, scheme: str) -> bool:
    default = DEFAULT_PORTS[scheme]
    return port == "*" or (int(port) if port.isdecimal() else default) == (wanted or default)


# --- Permissions-Policy ----------------------------------------------------------------------------


def _permissions(page: _Headers, origin: str | None) -> Iterator[str]:
    for header in page.all("permissions-policy"):
        for name, allowed in _POLICY_ENTRY.findall(header.lower()):
            if name in FEATURES and "*" not in allowed and (f'"{origin}"' if origin else '"') not in allowed:
                yield (
                    f"Permissions-Policy: with {name}={allowed}, {FEATURES[name]}. "
                    f'Send {name}=(self "{origin or _SOME_ORIGIN}").'
                )
