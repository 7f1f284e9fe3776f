"""The advice of `check_host_headers` on the headers of a host's page."""

from __future__ import annotations

import pytest

from ca_embed import check_host_headers

FRAME = "https://registration.example"

FINE = [
    {},
    {"Cross-Origin-Opener-Policy": "same-origin-allow-popups"},
    {"Cross-Origin-Opener-Policy": "unsafe-none; report-to=coop"},
    {"Cross-Origin-Embedder-Policy": "unsafe-none"},
    {"Content-Security-Policy": "default-src 'self'; frame-src https://registration.example"},
    {"Content-Security-Policy": "default-src 'self'; child-src https://*.example"},
    {"Content-Security-Policy": "default-src 'self' https:"},
    {"Content-Security-Policy": "frame-src registration.example:*"},
    {"Content-Security-Policy": "frame-src https://registration.example:443/path"},
    {"Content-Security-Policy": "frame-src *; script-src 'nonce-abc'; connect-src 'self'"},
    {"Content-Security-Policy-Report-Only": "default-src 'none'"},
    {"Permissions-Policy": 'clipboard-write=(self "https://registration.example"), camera=()'},
    {"Permissions-Policy": "clipboard-write=*"},
]

BROKEN = [
    ({"cross-origin-opener-policy": "same-origin"}, "same-origin-allow-popups"),
    ({"Cross-Origin-Opener-Policy": "same-origin-plus-COEP"}, "same-origin-allow-popups"),
    ({"Cross-Origin-Embedder-Policy": "require-corp"}, "unsafe-none"),
    ({"Cross-Origin-Embedder-Policy": "credentialless"}, "unsafe-none"),
    ({"Content-Security-Policy": "default-src 'self'"}, "Add https://registration.example to frame-src"),
    ({"Content-Security-Policy": "frame-src 'none'; default-src *"}, "frame-src"),
    ({"Content-Security-Policy": "frame-src http://registration.example:8080"}, "frame-src"),
    ({"Content-Security-Policy": "frame-src https://*.registration.example"}, "frame-src"),
    ({"Content-Security-Policy": "frame-src *, frame-src 'self'"}, "frame-src"),
    ({"Content-Security-Policy": "frame-src *; script-src 'none'"}, "script-src"),
    ({"Content-Security-Policy": "frame-src *; connect-src 'none'"}, "connect-src"),
    ({"Content-Security-Policy": "sandbox allow-scripts"}, "allow-popups-to-escape-sandbox"),
    (
        {"Permissions-Policy": "clipboard-write=(self)"},
        'clipboard-write=(self "https://registration.example")',
    ),
    ({"Permissions-Policy": "camera=(), fullscreen=()"}, "fullscreen"),
]


@pytest.mark.parametrize("headers", FINE)
def test_headers_that_let_the_registration_work(headers: dict[str, str]) -> None:
    """Headers that cause no problem get no advice."""
    assert check_host_headers(headers, iframe_origin=FRAME) == []


@pytest.mark.parametrize(("headers", "remedy"), BROKEN)
def test_headers_that_break_the_registration(headers: dict[str, str], remedy: str) -> None:
    """One sentence names the header and what to send instead."""
    (sentence,) = check_host_headers(headers, iframe_origin=FRAME)
    assert remedy in sentence
    assert next(iter(headers)).lower() in sentence.lower()


def test_pairs_with_a_repeated_name() -> None:
    """Every Content-Security-Policy must allow the iframe, not just one of them."""
    pairs = [
        ("Content-Security-Policy", f"frame-src {FRAME}"),
        ("Content-Security-Policy", "frame-src 'self'"),
    ]
    assert len(check_host_headers(pairs, iframe_origin=FRAME)) == 1


def test_a_loopback_iframe_with_a_port() -> None:
    """The port matters: another port on the same host is another origin."""
    headers = {"Content-Security-Policy": "frame-src http://127.0.0.1:5000"}
    assert check_host_headers(headers, iframe_origin="http://127.0.0.1:5000") == []
    assert len(check_host_headers(headers, iframe_origin="http://127.0.0.1:5001")) == 1


@pytest.mark.parametrize("headers", FINE)
def test_headers_that_are_right_for_some_origin(headers: dict[str, str]) -> None:
    """Without the iframe's origin, a header that allows any other origin is accepted."""
    assert check_host_headers(headers) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Cross-Origin-Opener-Policy": "same-origin"},
        {"Content-Security-Policy": "default-src 'self'"},
        {"Permissions-Policy": "clipboard-write=(self)"},
    ],
)
def test_headers_that_are_right_for_no_origin(headers: dict[str, str]) -> None:
    """Without the iframe's origin, a header that allows no other origin still gets advice."""
    assert len(check_host_headers(headers)) == 1
