"""Only bodies that every reader understands in the same way are read."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca_embed import _strict_json
from ca_embed._strict_json import NotStrictJson, parse_object


def nested(depth: int) -> bytes:
    """Return an object with lists in it, of this depth in total."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.fixture(params=["msgspec", "standard library"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read with the fast parser of the extra, and without it."""
    if request.param == "msgspec":
        assert _strict_json._fast_parser() is not _strict_json._standard_parser
    else:
        monkeypatch.setattr(_strict_json, "_fast_parser", lambda: _strict_json._standard_parser)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", {}),
        (b' \t\r\n{"a" : 1}\n', {"a": 1}),
        (b'{"a": [true, false, null, -0.5e-3, "x"]}', {"a": [True, False, None, -0.0005, "x"]}),
        ('{"ö": "🙂"}'.encode(), {"ö": "🙂"}),
        (b'{"a": "\\ud83d\\ude42 \\u0000 \\/"}', {"a": "🙂 \0 /"}),
        (b'{"a": "\\\\ud800"}', {"a": "\\ud800"}),
        (b'{"a": {"a": {"a": 1}}}', {"a": {"a": {"a": 1}}}),
        (b'{"a": "%b"}' % (b"[{" * 1000), {"a": "[{" * 1000}),
        (b'{"a": "\\"%b"}' % (b"[" * 100), {"a": '"' + "[" * 100}),
        (b'{"a": [%b]}' % b", ".join([b"{}"] * 1000), {"a": [{}] * 1000}),
        (b'{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    ],
)
def test_strict_json(body: bytes, expected: object) -> None:
    """A strict JSON object is read as it is."""
    assert parse_object(body) == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "does not parse"),
        (b"{", "does not parse"),
        (b"{}{}", "does not parse"),
        (b"{} x", "does not parse"),
        (b"{'a': 1}", "does not parse"),
        (b'{"a": 1,}', "does not parse"),
        (b'{"a": 01}', "does not parse"),
        (b'{"a": +1}', "does not parse"),
        (b'{"a": .5}', "does not parse"),
        (b'{"a": "\n"}', "does not parse"),
        (b'{"a": "\0"}', "does not parse"),
        (b'{"a": "\\x"}', "does not parse"),
        (b"{} // comment", "does not parse"),
        (b'\xef\xbb\xbf{"a": 1}', "does not parse"),
        (b'{"a": %b}' % (b"9" * 5000), "does not parse"),
        (b"[" * 100_000, "does not parse"),
        (b'{"a":' * 100_000, "does not parse"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (b"1", "not an object"),
        (b"null", "not an object"),
        (b"NaN", "NaN"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "NaN"),
        (b'{"a": -Infinity}', "NaN"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": [-1E400]}', "too large"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'{"a": 1, "\\u0061": 2}', "twice"),
        (b'{"x": [{"a": 1, "b": 2, "a": 3}]}', "twice"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "\xc0\xaf"}', "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "UTF-8"),
        (b'{"a": "\xf4\x90\x80\x80"}', "UTF-8"),
        (json.dumps({"a": 1}).encode("utf-16"), "UTF-8"),
        (json.dumps({"a": 1}).encode("utf-16-le"), "does not parse"),
        (json.dumps({"a": 1}).encode("utf-32-be"), "does not parse"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": "\\uDFFF"}', "surrogate"),
        (b'{"a": "\\ude42\\ud83d"}', "surrogate"),
        (b'{"a": "\\ud83d \\ude42"}', "surrogate"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b'{"a": [[{"b": "\\udabc"}]]}', "surrogate"),
    ],
)
def test_what_is_not_strict(body: bytes, words: str) -> None:
    """If two readers could understand a body differently, it is refused, with the reason."""
    with pytest.raises(NotStrictJson, match=words):
        parse_object(body)


def test_the_depth_has_an_edge() -> None:
    """32 levels are read and 33 are not, both in lists and in objects."""
    assert parse_object(nested(32))
    assert parse_object(b'{"a":' * 32 + b"1" + b"}" * 32)
    for body in (nested(33), b'{"a":' * 33 + b"1" + b"}" * 33):
        with pytest.raises(NotStrictJson, match="nested deeper"):
            parse_object(body)


def test_width_is_not_depth() -> None:
    """Many lists side by side do not count as deep."""
    assert len(parse_object(b'{"a": [%b]}' % b",".join([b"[[]]"] * 5000))["a"]) == 5000


def test_no_message_quotes_the_body() -> None:
    """A refused body may hold a secret, so no message repeats any of it."""
    for body in (b'{"fake-secret": 1, "fake-secret": 2}', b'{"a": "fake-secret}', b'"fake-secret"'):
        with pytest.raises(NotStrictJson) as refusal:
            parse_object(body)
        assert "fake" not in str(refusal.value)
        assert refusal.value.__cause__ is None
        assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


_TOKENS = ("{", "}", "[", "]", ":", ",", '"', '"a"', '"a":', '"a":"a"', '"b":"x"', '"\\u0041"', "\\")
_OTHERS = ("1", "1e999", "NaN", "9" * 30, "true", "null", " ", "\n", "\ud83d\ude42", "\x00", "\ufeff")
PIECES = st.lists(st.sampled_from((*_TOKENS, *_OTHERS, '{"a":{"a":"x"}}')), max_size=12)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES)
def test_the_short_way_reads_like_the_long_one(pieces: list[str]) -> None:
    """A body that is read fast is read as the careful parser reads it, or it would be refused by both."""
    for body in ("".join(pieces), "{" + ",".join(pieces) + "}"):
        data = body.encode("utf-8", "surrogatepass")
        plain = _strict_json._plain_object(data)
        if plain is not None:
            assert plain == _strict_json._any_object(data)


@pytest.mark.parametrize("body", [b'{"a": "1", "a": "2"}', b'{"a": null, "b": "", "a": true}'])
def test_a_repeated_name_is_never_read_fast(body: bytes) -> None:
    """No fast parser refuses repeated names, so such a body goes to the careful one."""
    assert _strict_json._plain_object(body) is None


def test_an_ordinary_webhook_is_read_fast() -> None:
    """A flat object of texts without escapes needs no careful parser."""
    body = b'{"event": "x", "app_id": "1", "phone": null, "more": true}'
    assert _strict_json._plain_object(body) == json.loads(body)
