"""`GET /ca-embed.js`: who gets it compressed, and who hears that nothing has changed."""

from __future__ import annotations

import gzip

import pytest

from ca_embed.assets._script import javascript
from tests.doors.fixtures import ClientOf
from tests.flow.kit import build


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("br, deflate, gzip;q=0.8", True),
        ("gzip;q=0.001", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("identity;q=1, gzip;q=0.5", False),
        ("br", False),
        ("gzipped", False),
        ("gzip;q=nonsense", False),
        ("\xff;;,=q", False),
    ],
)
def test_who_gets_it_compressed(client_of: ClientOf, accepted: str | None, compressed: bool) -> None:
    """The client's `Accept-Encoding` decides, with its weights."""
    client, asset = client_of(build()), javascript()
    headers = {} if accepted is None else {"accept_encoding": accepted}
    answer = client.get("/ca-embed.js", **headers)
    assert answer.status == 200
    assert answer.headers.get("content-encoding") == ("gzip" if compressed else None)
    assert answer.headers["vary"] == "Accept-Encoding"
    assert (gzip.decompress(answer.body) if compressed else answer.body) == asset.body


def test_it_is_small(client_of: ClientOf) -> None:
    """What is sent compressed is not larger than the file may be."""
    assert len(client_of(build()).get("/ca-embed.js", accept_encoding="gzip").body) <= 9000


@pytest.mark.parametrize("name", ["ca-embed.js", javascript().hashed_name])
def test_what_is_known_already(client_of: ClientOf, name: str) -> None:
    """Each form has an ETag of its own. A client that has this form hears that it is current."""
    client = client_of(build())
    forms = ("identity", "gzip")
    first = [client.get(f"/{name}", accept_encoding=form) for form in forms]
    etags = [answer.headers["etag"] for answer in first]
    assert len({*etags}) == 2
    for form, etag, other in zip(forms, etags, reversed(etags), strict=True):
        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            answer = client.get(f"/{name}", accept_encoding=form, if_none_match=known)
            assert (answer.status, answer.headers["etag"]) == (304, etag)
            assert answer.headers["vary"] == "Accept-Encoding"
            assert "content-encoding" not in answer.headers
        assert client.get(f"/{name}", accept_encoding=form, if_none_match=other).status == 200


def test_head(client_of: ClientOf) -> None:
    """HEAD has the headers of GET, also the length of the compressed bytes."""
    client = client_of(build())
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        got, head = (client.request(method, "/ca-embed.js", headers=headers) for method in ("GET", "HEAD"))
        assert (head.status, head.headers) == (200, got.headers)


def test_only_the_script_is_compressed(client_of: ClientOf) -> None:
    """Responses with a user's data are sent plain: a compressed length would tell something about them."""
    client = client_of(build())
    for path in ("/", "/health", "/sessions/unknown"):
        assert "content-encoding" not in client.get(path, accept_encoding="gzip").headers
