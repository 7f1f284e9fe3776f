"""The forms of the operator's page: how one is read, and the token that each carries.

The token proves that the page was made at this mount, for this person, this action and this registration,
today or yesterday. Its key comes from the partner tokens, so all processes share it and nothing is stored.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from ca_embed._config import Settings
from ca_embed.errors import ForbiddenOrigin, InvalidRequest

_DAY = 24 * 3600
_MOST_FIELDS = 10


def form_token(settings: Settings, actor: str, action: str, registration_id: str, *, now: float) -> str:
    """Return the token of a form that is shown now. now: in Unix seconds."""
    parts = (settings.public_url, actor, action, registration_id)
    return _token(settings.tokens[0], parts, int(now // _DAY))


def require_form_token(
    settings: Settings, actor: str, action: str, registration_id: str, *, now: float, given: str
) -> None:
    """Accept a token of today or yesterday, under any partner token. Raises ForbiddenOrigin."""
    today, parts = int(now // _DAY), (settings.public_url, actor, action, registration_id)
    fits = False
    for secret in settings.tokens:  # all of them, so that the time tells nothing
        for day in (today, today - 1):
            wanted = _token(secret, parts, day)
            fits |= hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))
    if not fits:
        raise ForbiddenOrigin("the token of a form is missing, too old or another's", reason="stale_form")


def read_form(body: bytes) -> Mapping[str, str]:
    """Return the fields of a form. Raises InvalidRequest for what no form of ours sends."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise InvalidRequest("The body is not a form of the operator's page.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidRequest("A field occurs twice.")
    return fields


def _token(secret: str, parts: tuple[str, ...], day: int) -> str:
    # Another key than the one that signs webhooks. No part holds a zero byte, so no two lists are alike.
    key = hmac.digest(secret.encode(), b"ca_embed operator's page", "sha256")
    message = "\0".join((*parts, str(day)))
    return hmac.digest(key, message.encode(), "sha256").hex()
