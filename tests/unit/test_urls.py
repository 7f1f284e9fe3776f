"""Origins have one canonical form. A URL that two readers could understand differently is refused."""

from __future__ import annotations

import pytest

from ca_embed._urls import (
    is_loopback,
    origin_of,
    require_bare_origin,
    require_base,
    require_https_or_loopback,
)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example", "https://a.example"),
        ("HTTPS://A.Example/Path?Query#Fragment", "https://a.example"),
        ("https://a.example:443/", "https://a.example"),
        ("http://a.example:80/", "http://a.example"),
        ("https://a.example:80", "https://a.example:80"),
        ("http://a.example:443", "http://a.example:443"),
        ("https://a.example:/", "https://a.example"),
        ("https://a.example:08443", "https://a.example:8443"),
        ("https://a.example?x=@b.example", "https://a.example"),
        ("https://a.example#@b.example", "https://a.example"),
        ("https://" + "a." * 126 + "a", "https://" + "a." * 126 + "a"),
        ("https://my_app.example", "https://my_app.example"),
        ("http://localhost:8000/x", "http://localhost:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]"),
        ("https://[2001:DB8::0:1]", "https://[2001:db8::1]"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        ("https://MÜNCHEN.example", "https://xn--mnchen-3ya.example"),
        ("https://faß.example", "https://xn--fa-hia.example"),
        ("https://a\u3002example", "https://a.example"),
        ("https://\uff11\uff12\uff17.0.0.1", "https://127.0.0.1"),
    ],
)
def test_the_origin_of_a_url(url: str, origin: str) -> None:
    """Each URL has one canonical origin. The origin of that is the same."""
    assert origin_of(url) == origin
    assert origin_of(origin) == origin
    assert require_bare_origin(origin) == origin


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "https://"),
        ("a.example", "https://"),
        ("//a.example", "https://"),
        ("ftp://a.example", "https://"),
        ("javascript:alert(1)", "https://"),
        ("data:text/html,x", "https://"),
        ("null", "https://"),
        ("https:a.example", "no host"),
        ("https:///a.example", "no host"),
        ("https://:443", "no host"),
        ("https://?x", "no host"),
        ("https://a.example.", "dot"),
        ("https://.", "dot"),
        ("https://a..example", "host name"),
        ("https://.a.example", "host name"),
        ("https://-a.example", "host name"),
        ("https://a-.example", "host name"),
        ("https://*.example", "host name"),
        ("https://a,b", "host name"),
        ("https://" + "a" * 64 + ".example", "host name"),
        ("https://" + "a." * 126 + "aa", "host name"),
        ("https://\xe4..b", "international"),
        ("https://user@a.example", "user name"),
        ("https://user:hidden@a.example", "user name"),
        ("https://@a.example", "user name"),
        ("https://a.example:443@b.example", "user name"),
        ("https://a%2eexample", "percent"),
        ("https://[fe80::1%25eth0]", "percent"),
        ("https://a.example\\@b.example", "backslash"),
        ("https:\\\\a.example", "backslash"),
        ("https://a.example/\\x", "backslash"),
        (" https://a.example", "space"),
        ("https://a.example ", "space"),
        ("https://a .example", "space"),
        ("https://a.example\n", "invisible"),
        ("https://a\t.example", "invisible"),
        ("https://a.example/\r\nX: y", "invisible"),
        ("https://a.example\0", "invisible"),
        ("https://a\u200b.example", "invisible"),
        ("https://a.example/\u202e", "invisible"),
        ("https://a\xa0.example", "invisible"),
        ("https://\ud800.example", "invisible"),
        ("https://127.1", "IP address"),
        ("https://2130706433", "IP address"),
        ("https://0x7f.0.0.1", "IP address"),
        ("https://0x7f000001", "IP address"),
        ("https://a.0x", "IP address"),
        ("https://127.0.0.01", "IP address"),
        ("https://256.0.0.1", "IP address"),
        ("https://[v1.a]", "IP address"),
        ("https://[::1", "cannot be read"),
        ("https://[127.0.0.1]", "cannot be read"),
        ("https://a\u2100b.example", "cannot be read"),
        ("https://a.example:0", "port"),
        ("https://a.example:65536", "port"),
        ("https://a.example:x", "port"),
        ("https://a.example:-1", "port"),
        ("https://a.example:\u0663", "port"),
        ("https://a.example:443:443", "port"),
    ],
)
def test_what_is_refused(url: str, words: str) -> None:
    """An invalid URL is refused. The error names the problem and quotes nothing."""
    for reader in (origin_of, require_bare_origin, require_https_or_loopback, require_base):
        with pytest.raises(ValueError, match=words) as refusal:
            reader(url)
        assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    ["https://a.example/", "https://a.example/x", "https://a.example?", "https://a.example#", "https://a#/"],
)
def test_a_bare_origin_has_nothing_behind(text: str) -> None:
    """A URL is refused if an origin is needed."""
    assert origin_of(text)
    with pytest.raises(ValueError, match="nothing behind"):
        require_bare_origin(text)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://a.example", "https://a.example"),
        ("https://a.example/", "https://a.example"),
        ("HTTPS://A.example:443/Mount//", "https://a.example/Mount"),
        ("http://localhost:8000/x/", "http://localhost:8000/x"),
    ],
)
def test_a_base_is_continued_by_a_path(url: str, base: str) -> None:
    """A base URL is canonical and has no slash at its end."""
    assert require_base(url) == base


@pytest.mark.parametrize("end", ["?", "?x", "#", "#x", "/x?y=z"])
def test_a_base_ends_with_its_path(end: str) -> None:
    """A base URL with a query or a fragment is refused."""
    with pytest.raises(ValueError, match="must end with its path"):
        require_base(f"https://a.example{end}")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "LocalHost", "[0::1]"])
def test_this_machine(host: str) -> None:
    """Plain http is accepted for the three loopback hosts, in any spelling."""
    assert is_loopback(f"http://{host}:8000/x")
    assert require_https_or_loopback(f"http://{host}/x").startswith("http://")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "127.0.0.1.example",
        "localhost.example",
        "a.localhost",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_another_machine(host: str) -> None:
    """Plain http is refused for any other host. https is not."""
    assert not is_loopback(f"http://{host}/")
    assert require_https_or_loopback(f"https://{host}/").startswith("https://")
    with pytest.raises(ValueError, match="must begin with https"):
        require_https_or_loopback(f"http://{host}/")
