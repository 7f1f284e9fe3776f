"""URLs and origins from outside, read the way browsers read them (WHATWG URL, RFC 6454). Pure.

Origins are compared as text, so each needs one canonical spelling. A secret is sent to a URL, so it must
be clear where that URL leads. What two programs could read differently is refused: user names,
backslashes, invisible characters, odd spellings of IP addresses, and hosts that end with a dot.

Every refusal is a ValueError. Its message fits after a name and a colon: "base_url: it has no host". It
never quotes the URL, which may contain a password.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
TEST_HOSTS: set[str] = set()  # hosts of test clients, which adapters add while tests run
DEFAULT_PORTS = {"https": 443, "http": 80}

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def origin_of(url: str) -> str:
    """Return the origin of an http or https URL: scheme://host[:port], canonical.

    Scheme and host are in lower case, international hosts in their ASCII form, IPv6 addresses short. The
    scheme's default port is left out. Raises ValueError, which says what is wrong.
    """
    parts = _split(url)
    host, port = _host(parts), _port(parts)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port != DEFAULT_PORTS[parts.scheme] else "")


def require_bare_origin(text: str) -> str:
    """Return the canonical spelling of an origin: a URL that ends after host and port.

    Raises ValueError, which says what is wrong.
    """
    origin = origin_of(text)
    if "/" in text.partition("://")[2] or "?" in text or "#" in text:
        raise ValueError("it must be scheme://host[:port] with nothing behind it, not even a slash")
    return origin


def require_https_or_loopback(url: str) -> str:
    """Return the origin of an https URL, or of an http URL on this machine (loopback).

    Raises ValueError, which says what is wrong.
    """
    origin = origin_of(url)
    if not origin.startswith("https://") and not is_loopback(origin):
        raise ValueError("it must begin with https:// (http:// only for 127.0.0.1, [::1] and localhost)")
    return origin


def require_link(url: str) -> str:
    """Return a URL that a browser may be sent to: a path of this host, or an https (or loopback) URL.

    Raises ValueError, which says what is wrong.
    """
    if not url.isascii():
        raise ValueError("it holds a character that must be percent-encoded")
    if url.startswith("/") and not url.startswith("//"):
        origin_of("https://any.invalid" + url)
    else:
        require_https_or_loopback(url)
    return url


def require_link_within(url: str, origins: Collection[str]) -> str:
    """Return a link to a page of one of these origins: a path of this host, or a URL.

    Browsers read it in the same way, so it leads nowhere else. Raises ValueError, which says what is wrong.
    """
    if not url.isascii():
        raise ValueError("it holds a character that must be percent-encoded")
    if url.startswith("/") and not url.startswith("//"):
        origin_of("https://any.invalid" + url)
    elif origin_of(url) not in origins:
        raise ValueError("its origin is neither that of public_url nor in parent_origins")
    return url


def require_base(url: str) -> str:
    """Return the canonical form of an https (or loopback http) URL without a slash at its end.

    Paths can be appended to it. Raises ValueError, which says what is wrong.
    """
    origin = require_https_or_loopback(url)
    if "?" in url or "#" in url:
        raise ValueError("it must end with its path, without ? or #")
    return origin + _plain_path(urlsplit(url).path.rstrip("/"))


def is_loopback(url: str) -> bool:
    """Tell whether the host is 127.0.0.1, ::1, localhost, or that of a test client.

    Raises ValueError for no http or https URL.
    """
    host = _host(_split(url))
    return host in LOOPBACK_HOSTS or host in TEST_HOSTS


def _plain_path(path: str) -> str:
    """Return the path if no program would change it (RFC 3986, 3.3). Raises ValueError."""
    if not _PATH.fullmatch(path):
        raise ValueError(
            "its path holds an empty segment (remove it), or a character that must be percent-encoded"
        )
    if any(segment in (".", "..") for segment in path.replace("%2e", ".").replace("%2E", ".").split("/")):
        raise ValueError("its path holds . or .. as a segment; remove it")
    return path


def _split(url: str) -> SplitResult:
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("it holds a space, a backslash or an invisible character; remove it")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("its host cannot be read; write it like crm.example or [2001:db8::1]") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("it must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("it holds a user name or password; remove it")
    if "%" in parts.netloc:
        raise ValueError("its host holds a percent sign; write the host itself")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host:
        raise ValueError("it has no host; write it like https://host/path")
    if "[" in parts.netloc:
        return _address(IPv6Address, host)
    if host.endswith("."):
        raise ValueError("its host ends with a dot; remove the dot")
    labels = _ascii(host).split(".")
    if _NUMBER.fullmatch(labels[-1]):  # browsers read every host that ends with a number as an IPv4 address
        return _address(IPv4Address, ".".join(labels))
    if not all(map(_LABEL.fullmatch, labels)) or len(".".join(labels)) > 253:
        raise ValueError("its host is not a host name; use letters, digits, hyphens and dots")
    return ".".join(labels)


def _address(kind: type[IPv4Address | IPv6Address], host: str) -> str:
    try:
        return kind(host).compressed
    except ValueError:
        raise ValueError("its host is not a plain IP address, like 192.0.2.1 or [2001:db8::1]") from None


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    import idna  # a dependency of requests, which encodes hosts in the same way

    try:
        return idna.encode(host, uts46=True).decode()
    except UnicodeError:
        raise ValueError("its host is not a valid international host name; check its spelling") from None


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("its port must be a number from 1 to 65535")
    return port or DEFAULT_PORTS[parts.scheme]
