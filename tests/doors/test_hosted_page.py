"""The looks of the hosted page, its way back to the application, and what search engines and readers see."""

from __future__ import annotations

import logging
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from ca_embed._appearance import Appearance, _luminance
from ca_embed.assets._words import WORDS
from ca_embed.errors import ConfigurationError
from tests.doors.clients import Answer, Client
from tests.doors.fixtures import ClientOf
from tests.flow.kit import OTHER_ORIGIN, OWN_ORIGIN, build

BROWSER = {"accept": "text/html"}
LOOKS = {
    "name": 'Tom & "Co" <b>',
    "logo": "https://cdn.example/logo.svg?a=1&b=2",
    "logo_dark": "/static/dark.svg",
    "accent": "#43C",
}


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the texts between them."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(answer.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each such tag."""
        return [attributes for name, attributes in self.found if name == tag]

    def link_back(self) -> str | None:
        """Return where the link back leads, or None without one."""
        links = [attributes for attributes in self.all("a") if attributes.get("class") == "back"]
        assert len(links) <= 1
        return links[0]["href"] if links else None


def policy(answer: Answer) -> dict[str, str]:
    """Return the directives of the Content-Security-Policy."""
    pairs = (part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in pairs}


def asked(client: Client, url: str) -> Answer:
    """Ask for the page with a `return_url`."""
    return query(client, "return_url=" + quote(url, safe=""))


def query(client: Client, text: str) -> Answer:
    """Ask for the page with a query, at either door."""
    if hasattr(client, "_scope"):
        client._scope["query_string"] = text.encode("latin-1")
    else:
        client._environ["QUERY_STRING"] = text  # type: ignore[attr-defined]
    return client.get("/", **BROWSER)


# --- the way back ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        f"{OWN_ORIGIN}/settings/channels?tab=whatsapp&x=%26#top",
        f"{OTHER_ORIGIN}",
        f"{OTHER_ORIGIN}/a/../b",
        f"{OWN_ORIGIN}:443/",
        "HTTPS://CRM.example/x",
        f"{OWN_ORIGIN}?x=https://evil.example",
        f"{OWN_ORIGIN}/?next=//evil.example\"><script>alert('1')</script>".replace(" ", "%20"),
        "/settings",
        "/",
        "/.//evil.example",
        "/%2F%2Fevil.example",
    ],
)
def test_way_back(client_of: ClientOf, url: str) -> None:
    """The page leads back to where its query says, if that is a path or a page of an allowed origin."""
    answer = asked(client_of(build(parent_origins=[OTHER_ORIGIN])), url)
    page = Tags(answer)
    assert (answer.status, page.link_back()) == (200, url)
    assert page.all("a")[0]["target"] == "_top"
    assert len(page.all("script")) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "settings",
        "https://evil.example",
        "https://crm.example.evil.example/",
        "https://evil.example/https://crm.example/",
        "https://crm.example@evil.example/",
        "https://user:hunter2x@crm.example/",
        "https://crm.example:8443/",
        "http://crm.example/",
        "//crm.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "https:\\\\crm.example",
        "https:/crm.example/",
        "https:crm.example/",
        "https:///crm.example/",
        "https://crm.example\\@evil.example/",
        "https://crm.example%2eevil.example/",
        "https://crm.example\t.evil.example/",
        "https://crm.example/\r\nSet-Cookie: a=b",
        "\thttps://crm.example/",
        " https://crm.example/",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "JaVaScRiPt://crm.example/%0aalert(1)",
        "java\tscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "blob:https://crm.example/1",
        "view-source:https://crm.example/",
        "https%3A%2F%2Fcrm.example",
        "https://crm\u3002example/",
        "https://xn--crm-.example/",
        "https://crm.example\u2044evil.example/",
        f"{OWN_ORIGIN}/\u00e9",
        "/\u00e9",
        "\x00/",
        "https://[crm.example",
    ],
)
def test_ways_elsewhere(client_of: ClientOf, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Any other link is left out. The page works, leads back to the setting, and the log says why."""
    client = client_of(build(parent_origins=[OTHER_ORIGIN], return_url="/home"))
    with caplog.at_level(logging.WARNING, "ca_embed"):
        answer = asked(client, url)
    assert (answer.status, Tags(answer).link_back()) == (200, "/home")
    assert "evil" not in answer.body.decode()
    (line,) = [record.getMessage() for record in caplog.records if "return_url" in record.getMessage()]
    assert "evil.example" not in line
    assert "hunter2x" not in line


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("", "/home"),
        ("other=%2Fx", "/home"),
        ("return_url=%2Fx&a=b", "/x"),
        ("return_url=%2Fx&return_url=%2Fy", "/home"),
        ("return_url", "/home"),
        ("return_url=%FF", "/home"),
        ("return_url=%2Fx;y", "/x;y"),
        ("return_url=/\xff", "/home"),
        ("&&=&return_url=%252F%252Fevil.example", "/home"),
    ],
)
def test_queries(client_of: ClientOf, text: str, link: str) -> None:
    """The query is decoded once. Without one right `return_url`, the setting counts."""
    assert Tags(query(client_of(build(return_url="/home")), text)).link_back() == link


def test_login_during_a_registration(client_of: ClientOf) -> None:
    """The element knows the login too, for a user whose sign-in ends while the page is open."""
    (element,) = Tags(client_of(build(login_url="/login?a=1&b=2")).get("/")).all("ca-whatsapp-registration")
    assert element["sign-in-url"] == "/login?a=1&b=2"


def test_no_way_back(client_of: ClientOf) -> None:
    """Without a setting and a query there is no link."""
    answer = client_of(build()).get("/")
    assert Tags(answer).link_back() is None
    assert "<header>" not in answer.body.decode()


def test_way_back_of_a_signed_out_visitor(client_of: ClientOf) -> None:
    """The page for a visitor who is not signed in leads back too."""
    answer = asked(client_of(build(identify=lambda native: None)), "/settings")
    assert (answer.status, Tags(answer).link_back()) == (401, "/settings")


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "//crm.example", "settings", "javascript:alert(1)", "/\\x", "/\u00e9", 7]
)
def test_setting_that_leads_elsewhere(url: Any) -> None:
    """A `return_url` of Embed that leads elsewhere is refused when the Embed is built."""
    with pytest.raises(ConfigurationError, match="return_url"):
        build(return_url=url)


# --- the looks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["alice", None])
@pytest.mark.parametrize("lang", sorted(WORDS))
def test_looks(client_of: ClientOf, user: str | None, lang: str) -> None:
    """Both pages have the host's name, logo and colour, escaped, in each language."""
    client = client_of(build(identify=lambda native: user, appearance=LOOKS, return_url="/home"))
    answer = client.get("/", **BROWSER, accept_language=lang)
    page = Tags(answer)
    assert answer.headers["content-language"] == lang
    assert page.all("html") == [{"lang": lang}]
    assert page.texts[0] == f"{WORDS[lang].title} - {LOOKS['name']}"
    assert WORDS[lang].back_named.format(name=LOOKS["name"]) in page.texts
    [image] = page.all("img")
    assert (image["src"], image["alt"]) == (LOOKS["logo"], LOOKS["name"])
    assert [source["srcset"] for source in page.all("source")] == [LOOKS["logo_dark"]]
    assert page.all("link") == [{"rel": "icon", "href": LOOKS["logo"]}]
    assert "--ca-accent: #4433cc; --ca-on-accent: #fff" in answer.body.decode()
    assert policy(answer)["img-src"] == "'self' https://cdn.example"


@pytest.mark.parametrize("user", ["alice", None])
def test_without_looks(client_of: ClientOf, user: str | None) -> None:
    """Without an appearance the page loads no picture, and its policy allows none."""
    answer = client_of(build(identify=lambda native: user)).get("/", **BROWSER)
    assert Tags(answer).all("img") == []
    assert "img-src" not in policy(answer)
    assert policy(answer)["default-src"] == "'none'"


def test_a_name_alone(client_of: ClientOf) -> None:
    """Without a logo, the name stands in its place."""
    page = Tags(client_of(build(appearance={"name": "My CRM"})).get("/"))
    assert page.texts[0] == "Connect WhatsApp - My CRM"
    assert "My CRM" in page.texts
    assert "Register the number to send messages with My CRM." in page.texts


@pytest.mark.parametrize("user", ["alice", None])
@pytest.mark.parametrize("lang", sorted(WORDS))
def test_each_text_is_there_once(client_of: ClientOf, user: str | None, lang: str) -> None:
    """No text is on the page twice. The heading is not the title that the element shows below it."""
    client = client_of(build(identify=lambda native: user, login_url="/login"))
    page = Tags(client.get("/", **BROWSER, accept_language=lang))
    seen = page.texts[1:]  # without the title of the tab
    assert len(seen) == len({*seen})
    if user:
        assert WORDS[lang].title not in seen


@pytest.mark.parametrize("user", ["alice", None])
def test_what_every_page_needs(client_of: ClientOf, user: str | None) -> None:
    """A title, a description, a viewport, a language, one heading, and both schemes."""
    page = Tags(client_of(build(identify=lambda native: user)).get("/", **BROWSER))
    metas = {meta["name"]: meta["content"] for meta in page.all("meta") if "name" in meta}
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"] == "light dark"
    assert metas["description"] in page.texts
    assert [len(page.all(tag)) for tag in ("title", "h1", "main")] == [1, 1, 1]
    assert page.texts[0]


@pytest.mark.parametrize(
    ("appearance", "problem"),
    [
        ({"colour": "#fff"}, "'colour' is unknown; it takes name, logo, logo_dark, accent"),
        ({"accent": "red"}, "a colour like #4338ca"),
        ({"accent": "#12345"}, "a colour like #4338ca"),
        ({"accent": "#fff;} body{display:none"}, "a colour like #4338ca"),
        ({"accent": "#\u0661\u0661\u0661"}, "a colour like #4338ca"),
        ({"accent": 7}, "a colour like #4338ca"),
        ({"name": ""}, "1 to 80 characters"),
        ({"name": "x" * 81}, "1 to 80 characters"),
        ({"name": "a\nb"}, "invisible"),
        ({"name": "\u202eMRC"}, "invisible"),
        ({"name": "\ud800"}, "invisible"),
        ({"name": 7}, "text"),
        ({"logo": "javascript:alert(1)"}, "https URL"),
        ({"logo": "data:image/svg+xml,x"}, "https URL"),
        ({"logo": "http://cdn.example/logo.svg"}, "https URL"),
        ({"logo": "//cdn.example/logo.svg"}, "https URL"),
        ({"logo": "https://cdn.example; script-src *"}, "https URL"),
        ({"logo": "https://user:pw@cdn.example/"}, "https URL"),
        ({"logo": 7}, "https URL"),
        ({"logo_dark": "/dark.svg"}, "needs a logo"),
        ("My CRM", "must be a dict"),
        ([("name", "x")], "must be a dict"),
    ],
)
def test_looks_that_cannot_be(appearance: Any, problem: str) -> None:
    """A wrong appearance is refused when the Embed is built. The error says what to give."""
    with pytest.raises(ConfigurationError, match="appearance") as refused:
        build(appearance=appearance)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    "accent", ["#000000", "#ffffff", "#777777", "#767676", "#ff0000", "#ffff00", "#4338ca"]
)
def test_text_on_the_accent(accent: str) -> None:
    """The text on the accent has a contrast of 4.5 to 1 or more."""
    looks = Appearance(accent=accent)
    lighter, darker = sorted((_luminance(accent), 1.0 if looks.on_accent == "#fff" else 0.0), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
