"""`embed.snippet()`: the HTML that it returns, the arguments that it refuses, and the languages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from ca_embed.assets._hosted_page import hosted_page
from tests.flow.kit import NOBODY_LISTENS, build

TAG = "ca-whatsapp-registration"


class Tags(HTMLParser):
    """The attributes of each tag, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str | None]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag] = dict(attrs)


def tags(public_url: str = "https://crm.example/chatarchitect", **options: Any) -> Tags:
    """Return the tags of a snippet."""
    return Tags(build(public_url=public_url).snippet(**options))


def test_as_documented() -> None:
    """Without options it has the script below the mount, and the element with two attributes."""
    found = tags().found
    assert list(found) == ["script", TAG, "svg", "a"]
    assert found["a"] == {
        "href": "/chatarchitect/"
    }  # the hosted page, for browsers that do not run the script
    assert found[TAG] == {"endpoint": "/chatarchitect", "iframe-origin": NOBODY_LISTENS}
    assert re.fullmatch(r"/chatarchitect/ca-embed\.[0-9a-f]+\.js", found["script"]["src"] or "")


def test_a_language_that_is_set_leaves_the_page_its_own() -> None:
    """`lang` of the call is written into the page. `lang` of Embed is not: the page has its own language."""
    embed = build(lang="de")
    assert "lang" not in Tags(embed.snippet()).found[TAG]
    assert Tags(embed.snippet(lang="pt_BR")).found[TAG]["lang"] == "pt_BR"


@pytest.mark.parametrize(
    ("accept_language", "spoken"), [("fr, es;q=0.5", "es"), ("fr", "ru"), ("", "ru"), ("de;q=0", "ru")]
)
def test_language_of_the_hosted_page(accept_language: str, spoken: str) -> None:
    """The hosted page uses the language that the browser asks for, or else the configured one."""
    assert hosted_page(build(lang="ru")._core.settings, accept_language).lang == spoken


def test_everything_is_escaped() -> None:
    """Any text is escaped and stays text."""
    hostile = '"><script>alert(1)</script>'
    found = tags(lang=hostile, nonce=hostile).found
    assert (found[TAG]["lang"], found["script"]["nonce"]) == (hostile, hostile)
    assert list(found) == ["script", TAG, "svg", "a"]


@pytest.mark.parametrize(
    ("endpoint", "mount", "written"),
    [
        ("/crm/chatarchitect/", "/crm/chatarchitect", "/crm/chatarchitect"),
        ("/caf%C3%A9/~x", "/caf%C3%A9/~x", "/caf%C3%A9/~x"),
        ("", "", "/"),
        ("/", "", "/"),
        ("https://Api.Example:443/x/", "https://api.example/x", "https://api.example/x"),
        ("http://localhost:8000/x", "http://localhost:8000/x", "http://localhost:8000/x"),
        ("https://api.example", "https://api.example", "https://api.example"),
    ],
)
def test_endpoint(endpoint: str, mount: str, written: str) -> None:
    """A path from the root, or a valid URL of the mount, is written in its canonical form."""
    found = tags(endpoint=endpoint).found
    assert found[TAG]["endpoint"] == written
    assert (found["script"]["src"] or "").startswith(f"{mount}/ca-embed.")
    assert found["script"].get("crossorigin") == ("anonymous" if "://" in mount else None)


@pytest.mark.parametrize("public_url", ["https://crm.example", "https://crm.example/"])
def test_mounted_at_the_root(public_url: str) -> None:
    """A mount without a path is the root."""
    assert tags(public_url).found[TAG]["endpoint"] == "/"


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("/x?y=1", "without ? or #"),
        ("/x#y", "without ? or #"),
        ("/x?", "without ? or #"),
        ("/x/../y", ". or .."),
        ("/x//y", "empty segment"),
        ("/x y", "space"),
        ("/\u00fc", "percent-encoded"),
        ('/"', "percent-encoded"),
        ("//evil.example/x", "empty segment"),
        ("/\\evil.example", "backslash"),
        ("\\/evil.example", "backslash"),
        ("/\t/evil.example", "invisible"),
        ("chatarchitect", "https://"),
        ("@evil.example", "https://"),
        (" /x", "space"),
        ("?x", "https://"),
        ("javascript:alert(1)", "https://"),
        ("data:text/javascript,alert(1)", "https://"),
        ("http://api.example/x", "https://"),
        ("https://api.example/x?y=1", "without ? or #"),
        ("https://user:fake-password@api.example/", "user name"),
        ("https:", "no host"),
        (5, "text"),
        (b"/x", "text"),
    ],
)
def test_endpoint_that_cannot_be(endpoint: Any, problem: str) -> None:
    """Any other endpoint is refused. The error names the argument, the problem, and what to give."""
    with pytest.raises(ValueError, match=r"^endpoint: .*/chatarchitect") as refused:
        build().snippet(endpoint=endpoint)
    assert problem in str(refused.value)
    assert "fake-password" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("mode", "popup", '"inline" or "modal"'),
        ("mode", None, '"inline" or "modal"'),
        ("mode", ["modal"], '"inline" or "modal"'),
        ("lang", 5, '"pt-BR"'),
        ("lang", ["de"], '"pt-BR"'),
        ("lang", False, '"pt-BR"'),
        ("nonce", 5, "text"),
        ("nonce", lambda: "r4nd0m", "text"),
    ],
)
def test_arguments_that_cannot_be(name: str, value: Any, advice: str) -> None:
    """An invalid argument is refused. The error names the argument and what to give instead."""
    with pytest.raises(ValueError, match=f"^{name}: ") as refused:
        build().snippet(**{name: value})
    assert advice in str(refused.value)
