"""What pages ask for, in process, beside the least work by hand: `python -m benchmarks.pages`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from html import escape
from typing import Any

from benchmarks._deliveries import body_of, environ_of
from benchmarks._measure import Contender, Figure, compared, show, turns
from benchmarks.receiver import _answer, contenders

WSGI = Callable[..., Iterable[bytes]]
_PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>
<script src="/chatarchitect/ca-embed.js" defer></script></head>
<body><ca-whatsapp-registration endpoint="/chatarchitect"></ca-whatsapp-registration></body></html>"""


def main() -> list[Figure]:
    """Measure the requests of a page, and print them."""
    known = body_of(400)
    registration_id = json.loads(known)["registration_id"]
    with contenders() as both:
        ours = both.embed.wsgi
        _answer(ours, environ_of(known))
        both.by_hand.accept(known, environ_of(known)["HTTP_X_CA_TIMESTAMP"], _signature(known))
        status = f"/sessions/{registration_id}"
        times = turns(
            {
                "ours, status": _get(ours, status),
                "by hand, status": _get(_by_hand_status(both.by_hand, registration_id), status),
                "ours, hosted page": _get(ours, "/"),
                "by hand, hosted page": _get(_by_hand_page, "/"),
                "ours, live": _get(ours, "/live"),
            }
        )
    return show(
        [
            compared("GET /sessions/<id>, to a row that is read and opened by hand", times, *_pair("status")),
            compared("GET /, to a page filled in by hand", times, *_pair("hosted page")),
            compared("GET /live, to a page filled in by hand", times, "ours, live", "by hand, hosted page"),
        ]
    )


def _pair(what: str) -> tuple[str, str]:
    return f"ours, {what}", f"by hand, {what}"


def _signature(body: bytes) -> str:
    signature: str = environ_of(body)["HTTP_X_CA_SIGNATURE"]
    return signature


def _get(door: Any, path: str) -> Contender:
    environ = environ_of(b"", path=path)
    unused = ("CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_X_CA_TIMESTAMP", "HTTP_X_CA_SIGNATURE")
    kept = {name: value for name, value in environ.items() if name not in unused}
    return Contender(partial(_answer, door), lambda: {**kept, "REQUEST_METHOD": "GET"})


def _by_hand_status(by_hand: Any, registration_id: str) -> WSGI:
    def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        fields = by_hand.read(registration_id)
        shown = {name: fields[name] for name in ("registration_id", "phone", "completed_at")}
        answer = json.dumps(shown).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
        return [answer]

    return application


def _by_hand_page(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    answer = _PAGE.format(lang=escape("en"), title=escape("Connect WhatsApp")).encode()
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(answer)))])
    return [answer]


if __name__ == "__main__":
    main()
