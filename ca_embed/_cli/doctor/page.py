"""Check that the headers of the host's own pages let the registration work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ca_embed._cli.doctor.finding import Finding, fail, ok
from ca_embed._cli.doctor.web import Reply, Unreachable, ask, bare
from ca_embed._host.page_headers import check_host_headers

_SIGN_IN = (
    "If it needs a sign-in, send that of a user: --header 'Cookie: ...' with the cookie from your browser. "
    "Or check it in a test of yours: pass its headers to ca_embed.check_host_headers."
)


def check_page(url: str, headers: Sequence[tuple[str, str]], iframe_origin: str) -> Iterator[Finding]:
    """Check the headers of the page, also those of an error page: often the same server sets both.

    Those of a 401 tell nothing: often another server asks for the sign-in. headers: to send.
    """
    check = f"page {bare(url)}"
    try:
        reply = ask("GET", url, headers={"Accept": "text/html", **dict(headers)})
    except Unreachable as error:
        yield fail(check, str(error), "Check the URL, and that its server runs.")
        return
    if reply.status == 401:
        yield fail(check, "needs a sign-in (401), so its headers were not checked", _SIGN_IN)
        return
    problems = check_host_headers(reply.headers, iframe_origin=iframe_origin)
    if reply.status != 200:
        yield _other_page(check, reply)
    elif not problems:
        yield ok(check, "its headers let the registration work")
    for problem in problems:
        message, _, advice = problem.rpartition(". ")
        yield fail(check, message, advice)


def _other_page(check: str, reply: Reply) -> Finding:
    message = f"redirects to {reply.target}" if reply.target else f"answers {reply.status}"
    return fail(check, message, f"Give the URL of the page itself. {_SIGN_IN}")
