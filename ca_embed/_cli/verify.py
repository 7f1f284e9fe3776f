"""`verify`: check a captured webhook, and show which check fails."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from ca_embed._cli.capture import Capture, read_file, read_http
from ca_embed._cli.command import Commands
from ca_embed._cli.output import WrongUsage, print_fields, print_json, say
from ca_embed._cli.source import add_app_option, tokens_of
from ca_embed._events import SignedEvent
from ca_embed._registration import Completion
from ca_embed._webhook import Authenticated, Verifier, parse_instant, read_event, token_id
from ca_embed.errors import InvalidPayload, RequestError

_ADVICE = {
    "too_large": "No webhook is that long; check what else is in the file.",
    "bad_shape": "Give each of the two headers once: ASCII digits, and sha256= with 64 hex digits.",
    "bad_mac": "Check that the token is the one that signed, and that the body has the bytes that were sent.",
    "stale": "Give the time when it arrived with --at. If that was just now, set this machine's clock.",
    "bad_json": "The signature is right, so ChatArchitect sent it like this: ask ChatArchitect.",
    "bad_payload": "The signature is right, so ChatArchitect sent it like this: ask ChatArchitect.",
    "ignored": "The endpoint answers 200 to events of unknown types, and stores nothing.",
    "ok": "The storage is not looked at. The endpoint looks there, and answers accepted, duplicate, or 409 "
    "mismatched_session if the session was created for another user or state.",
}

_LAST_SECOND = 253_402_300_799  # of the year 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of the checks. reason: as in the endpoint's log, or "ok"; "ok" and "ignored" are good."""

    reason: str
    message: str
    authenticated: Authenticated | None = None
    completion: Completion | None = None

    @property
    def good(self) -> bool:
        """Whether every check passes that needs no storage."""
        return self.reason in ("ok", "ignored")


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "verify",
        help="check a captured webhook",
        description="Make the checks that the endpoint makes before it looks at the storage, and show which "
        "one fails.",
    )
    parser.add_argument("body", metavar="FILE", nargs="?", help="the raw body; - reads stdin")
    parser.add_argument("--timestamp", metavar="TEXT", help="the value of X-CA-Timestamp")
    parser.add_argument("--signature", metavar="TEXT", help="the value of X-CA-Signature")
    parser.add_argument(
        "--http",
        metavar="FILE",
        help="instead: header lines, a blank line, and the body; - reads stdin",
    )
    parser.add_argument(
        "--at",
        type=_moment,
        metavar="TIME",
        help="when it arrived: Unix seconds or ISO 8601 (default: now)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_app_option(parser)
    parser.set_defaults(run=verify)


def verify(args: argparse.Namespace) -> int:
    """Check a captured webhook, and print the result. Returns 0 if it is good."""
    capture = _capture(args)
    tokens, window = tokens_of(args)
    now = time.time() if args.at is None else args.at
    verdict = check(capture, tokens, window, now)
    if args.json:
        print_json(_fields(verdict, tokens, now))
    else:
        print_fields(_fields(verdict, tokens, now))
        say(_ADVICE[verdict.reason])
    return 0 if verdict.good else 1


def check(capture: Capture, tokens: Sequence[str], window: float, now: float) -> Verdict:
    """Make the endpoint's checks in its order. The event of a stale webhook is read too.

    tokens: the partner tokens. window: the replay window in seconds. now: the time of arrival, in Unix
    seconds.
    """
    from ca_embed.http import MAX_BODY

    if len(capture.body) > MAX_BODY:
        return Verdict(reason="too_large", message=f"the body has {len(capture.body)} bytes")
    try:
        authenticated = _verified(capture, tokens, math.inf, now)
    except RequestError as error:
        return Verdict(reason=error.reason, message=_explain(str(error), capture, tokens, now))
    if authenticated.signed_at > _LAST_SECOND:
        return Verdict(reason="stale", message="the timestamp is after the year 9999")
    verdict = _verdict_on_event(capture.body, authenticated)
    try:
        _verified(capture, tokens, window, now)
    except RequestError as error:
        return replace(verdict, reason=error.reason, message=str(error))
    return verdict


def _verified(capture: Capture, tokens: Sequence[str], window: float, now: float) -> Authenticated:
    return Verifier(tokens, window).verify(capture.body, capture.timestamps, capture.signatures, now)


def _explain(message: str, capture: Capture, tokens: Sequence[str], now: float) -> str:
    """Return a more exact message for a missing or repeated header, or an added line break."""
    for name, values in (("X-CA-Timestamp", capture.timestamps), ("X-CA-Signature", capture.signatures)):
        if len(values) != 1:
            return f"{name} is {'repeated' if values else 'missing'}"
    bare = replace(capture, body=capture.body.rstrip(b"\r\n"))
    if bare == capture:
        return message
    try:
        _verified(bare, tokens, math.inf, now)
    except RequestError:
        return message
    return f"{message}; it fits without the line break at the end, so the capture has added that: remove it"


def _verdict_on_event(body: bytes, authenticated: Authenticated) -> Verdict:
    try:
        event = read_event(body, authenticated)
    except InvalidPayload as error:
        return Verdict(reason=error.reason, message=str(error), authenticated=authenticated)
    if isinstance(event, SignedEvent):
        message = "every check passes; it is no completion, and is ignored without an on_event handler"
        return Verdict(reason="ignored", message=message, authenticated=authenticated)
    message = "every check passes"
    return Verdict(reason="ok", message=message, authenticated=authenticated, completion=event)


def _fields(verdict: Verdict, tokens: Sequence[str], now: float) -> dict[str, object]:
    fields: dict[str, object] = {
        "valid": verdict.good,
        "reason": verdict.reason,
        "message": verdict.message,
        "judged_at": datetime.fromtimestamp(now, UTC),
    }
    if verdict.authenticated is not None:
        fields["signed_at"] = datetime.fromtimestamp(verdict.authenticated.signed_at, UTC)
        place = [token_id(token) for token in tokens].index(verdict.authenticated.token_id)
        fields["signed_with"] = f"partner token {place + 1} of {len(tokens)}"
    if verdict.completion is not None:
        fields |= _event_fields(verdict.completion)
    return fields


def _event_fields(completion: Completion) -> dict[str, object]:
    """Return the event's fields, with its secret masked."""
    event: dict[str, object] = {"registration_id": completion.registration_id}
    if completion.partner_fields is not None:
        event |= {
            "partner_user_id": completion.partner_fields.user_id,
            "partner_state": completion.partner_fields.partner_state,
        }
    return event | asdict(completion.credentials) | {"app_secret": "<hidden>"}


def _capture(args: argparse.Namespace) -> Capture:
    separate = [value for value in (args.body, args.timestamp, args.signature) if value is not None]
    if args.http is not None and not separate:
        return read_http(read_file(args.http))
    if args.http is not None or args.body is None:
        raise WrongUsage("give --timestamp, --signature and the body's FILE, or --http FILE alone")
    return Capture(read_file(args.body), _header(args.timestamp), _header(args.signature))


def _header(value: str | None) -> tuple[bytes, ...]:
    return () if value is None else (value.encode("utf-8", "surrogateescape"),)


def _moment(text: str) -> float:
    try:
        return float(text) if text.isdecimal() else parse_instant(text, "--at").timestamp()
    except InvalidPayload:
        raise argparse.ArgumentTypeError(
            "give Unix seconds, or ISO 8601 like 2026-07-04T10:00:00+00:00"
        ) from None
