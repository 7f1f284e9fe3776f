"""URLs and origins from outside, read the way browsers read them (WHATWG URL, RFC 6454). Pure.

Whoever compares or sends an origin needs its one canonical spelling, and whoever sends a secret to a
URL needs to know where that goes. So what two readers could understand differently is refused: user
names, backslashes, invisible characters, odd spellings of IP addresses, hosts that end with a dot.

Every refusal is a ValueError whose message follows a name and a colon well: "base_url: it has no host".
It never quotes the URL, which may hold a password.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
DEFAULT_PORTS = {"https": 443, "http": 80}

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def origin_of(url: str) -> str:
    """Return the origin of an http or https URL: scheme://host[:port], canonical.

    Scheme and host are in lower case, international hosts in their ASCII form, IPv6 addresses short;
    the scheme's default port is left out. Raises ValueError, saying what is wrong.
    """
    parts = _split(url)
    host, port = _host(parts), _port(parts)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port != DEFAULT_PORTS[parts.scheme] else "")


def require_bare_origin(text: str) -> str:
    """Return the canonical origin of a text that is one, with nothing behind host and port.

    Raises ValueError, saying what is wrong.
    """
    origin = origin_of(text)
    if "/" in text.partition("://")[2] or "?" in text or "#" in text:
        raise ValueError("it must be scheme://host[:port] only, with nothing behind, not even a slash")
    return origin


def require_https_or_loopback(url: str) -> str:
    """Return the origin of an https URL, or of an http URL of this very machine.

    Raises ValueError, saying what is wrong.
    """
    origin = origin_of(url)
    if not origin.startswith("https://") and not is_loopback(origin):
        raise ValueError("it must begin with https:// (http:// is for 127.0.0.1, [::1] and localhost only)")
    return origin


def require_base(url: str) -> str:
    """Return the canonical https (or loopback http) URL that paths can be appended to: no slash at its end.

    Raises ValueError, saying what is wrong.
    """
    origin = require_https_or_loopback(url)
    if "?" in url or "#" in url:
        raise ValueError("it must end with its path, without ? or #")
    return origin + _plain_path(urlsplit(url).path.rstrip("/"))


def is_loopback(url: str) -> bool:
    """Tell whether the host is 127.0.0.1, ::1 or localhost. Raises ValueError for what is no URL."""
    return _host(_split(url)) in LOOPBACK_HOSTS


def _plain_path(path: str) -> str:
    """Return a path that every reader takes as it stands (RFC 3986, 3.3)."""
    if not _PATH.fullmatch(path):
        raise ValueError(
            "its path holds an empty segment, or a character that must be percent-encoded (RFC 3986)"
        )
    if any(segment in (".", "..") for segment in path.replace("%2e", ".").replace("%2E", ".").split("/")):
        raise ValueError("its path holds . or .. as a segment; leave them away")
    return path


def _split(url: str) -> SplitResult:
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("it holds a space, a backslash or an invisible character")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("its host cannot be read") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("it must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("it holds a user name or password; leave that away")
    if "%" in parts.netloc:
        raise ValueError("its host holds a percent sign")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host:
        raise ValueError("it has no host")
    if "[" in parts.netloc:
        return _address(IPv6Address, host)
    if host.endswith("."):
        raise ValueError("its host ends with a dot; leave the dot away")
    labels = _ascii(host).split(".")
    if _NUMBER.fullmatch(labels[-1]):  # browsers take any such host for an IPv4 address
        return _address(IPv4Address, ".".join(labels))
    if not all(map(_LABEL.fullmatch, labels)) or len(".".join(labels)) > 253:
        raise ValueError("its host is not a host name")
    return ".".join(labels)


def _address(kind: type[IPv4Address | IPv6Address], host: str) -> str:
    try:
        return kind(host).compressed
    except ValueError:
        raise ValueError("its host is not a plain IP address") from None


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    import idna  # requests brings it and uses it in this very way

    try:
        return idna.encode(host, uts46=True).decode()
    except UnicodeError:
        raise ValueError("its host is not a valid international host name") from None


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("its port is not a number from 1 to 65535")
    return port or DEFAULT_PORTS[parts.scheme]
