"""The Partner API: its three calls and their errors (ChatArchitect's guide, "Partner API").

Arguments are checked before anything is sent, as the guide demands. Replies are read strictly. A reply
that the guide does not describe is an error: credentials that are incomplete, for example, or those of
another registration. An `iframe_url` of another origin is refused, because it would show the user
another site.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from ca_embed._frames import clears_locals
from ca_embed._partner.transport import HttpReply, PartnerHttp
from ca_embed._registration import Completion, Session, Status
from ca_embed._strict_json import NotStrictJson, is_unicode, parse_object
from ca_embed._urls import origin_of, require_bare_origin, require_base, require_https_or_loopback
from ca_embed._webhook import is_registration_id, parse_instant, read_credentials, token_id
from ca_embed.errors import (
    ConfigurationError,
    InvalidArgument,
    InvalidPayload,
    PartnerError,
    PartnerRejected,
    PartnerUnavailable,
)

MAX_REQUEST = 32 * 1024  # bytes; the webhook returns the texts, and may be no longer than 64 KiB
LONGEST_QUOTE = 200  # characters of the Partner API's own message

_TOKEN = re.compile(r"[!-~]+")
_STATUS = re.compile(r"[a-z_]{1,40}")
_WHAT_TO_DO = {
    400: "check the arguments",
    401: "check partner_token",
    403: "check partner_token",
    404: "it is not known there, or another partner token created it; check the id and base_url",
    409: "the registration is not completed yet, so there is no webhook to send again",
    429: "wait {wait} before the next call",
}
_ASK_TO_WAIT = (429, 503)  # the statuses whose Retry-After says when to call again

Fields = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result:
    """The status of a registration. `completion` has the credentials if it is completed, else it is None."""

    status: str
    completion: Completion | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The result of sending a webhook again. `last_error` is empty if it arrived."""

    status: str
    attempts: int
    last_error: str


class PartnerClient:
    """The Partner API under one token, over pooled connections. Threads may share it.

    base_url: ChatArchitect's public base URL. It is https, or http on 127.0.0.1, ::1 or localhost.
    token: the partner token. It is sent only to `base_url` and never shown.
    create_deadline: the most seconds that creating a session may take.
    ask_deadline: the most seconds that any other call may take.

    Calls raise InvalidArgument before anything is sent, and PartnerTimeout, PartnerUnavailable or
    PartnerRejected after that.
    """

    @clears_locals
    def __init__(
        self, base_url: str, token: str, *, create_deadline: float = 30.0, ask_deadline: float = 10.0
    ) -> None:
        """Check the settings. The first call opens a connection. Raises ConfigurationError."""
        self._base_url = _checked_settings(base_url, token)
        self._token = token
        self._token_id = token_id(token)
        self._create_deadline, self._ask_deadline = create_deadline, ask_deadline
        self._http = PartnerHttp(self._base_url, token)

    def __repr__(self) -> str:
        """Show the URL and not the token."""
        return f"<PartnerClient {self._base_url}>"

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the pooled connections. A later call opens new ones."""
        self._http.close()

    # --- the calls -------------------------------------------------------------------------------

    def create_session(
        self,
        *,
        parent_origin: str,
        webhook_url: str,
        partner_user_id: str | None = None,
        partner_state: str | None = None,
        integration: str | None = None,
        lang: str | None = None,
    ) -> Session:
        """Create a session (guide, "Create Embed Session"). Arguments that are None are not sent.

        parent_origin: scheme://host[:port] of the page that will show the iframe.
        webhook_url: where ChatArchitect sends the credentials. It is https, or http on loopback.

        A call that was sent is never repeated. If its reply is lost, an unused session remains until it
        expires.
        """
        _checked_url("webhook_url", webhook_url, require_https_or_loopback)
        body = _body(
            parent_origin=_checked_url("parent_origin", parent_origin, require_bare_origin),
            webhook_url=webhook_url,
            partner_user_id=partner_user_id,
            partner_state=partner_state,
            integration=integration,
            lang=lang,
        )
        query = {"action": "create_session"}
        reply = self._http.call("POST", query, seconds=self._create_deadline, json=body)
        return self._parsed(reply, lambda fields: self._session(fields, reply.status))

    def result(self, registration_id: str) -> Result:
        """Ask for the status of a registration (guide, "Get Registration Result")."""
        asked = _checked_id(registration_id)
        query = {"action": "result", "registration_id": asked}
        reply = self._http.call("GET", query, seconds=self._ask_deadline)
        return self._parsed(reply, lambda fields: self._result(fields, asked))

    def retry_webhook(self, registration_id: str) -> Retry:
        """Ask for the webhook of a completed registration again (guide, "Retry Webhook").

        If the registration is not completed yet, PartnerRejected has the `partner_status` 409. A call that
        was sent is never repeated.
        """
        body = _body(registration_id=_checked_id(registration_id))
        query = {"action": "retry_webhook"}
        reply = self._http.call("POST", query, seconds=self._ask_deadline, json=body)
        return self._parsed(reply, self._retry)

    def _within(self, seconds: float) -> Self:
        """Return this client with another deadline for each call, on the same connections."""
        client = copy(self)
        client._create_deadline = client._ask_deadline = seconds
        return client

    # --- replies ---------------------------------------------------------------------------------

    @clears_locals
    def _parsed(self, reply: HttpReply, parse: Callable[[Fields], T]) -> T:
        """Return what `parse` makes of a reply's fields. Raises PartnerRejected or PartnerUnavailable."""
        if not 200 <= reply.status < 300:
            raise self._refusal(reply)
        try:
            return parse(_fields(reply))
        except InvalidPayload as problem:
            raise PartnerUnavailable(
                f"{self._base_url} did not answer as the guide describes: {problem} Check base_url."
            ) from None

    def _session(self, fields: Fields, status: int) -> Session:
        registration_id, iframe_url = fields.get("registration_id"), fields.get("iframe_url")
        if not is_registration_id(registration_id):
            raise InvalidPayload("registration_id must be 1 to 128 of A-Z a-z 0-9 _ -.")
        if not isinstance(iframe_url, str):
            raise InvalidPayload("iframe_url must be a string.")
        if (session_status := _status(fields)) == Status.COMPLETED:
            raise InvalidPayload("status must not be completed for a new session.")
        session = Session(registration_id, iframe_url, _expiry(fields), session_status)
        self._refuse_other_sites(iframe_url, status)
        return session

    def _refuse_other_sites(self, iframe_url: str, status: int) -> None:
        """Raise PartnerRejected for an iframe of another origin. Only the site of `base_url` is trusted."""
        try:
            if origin_of(iframe_url) == origin_of(self._base_url):
                return
            why = "it has another origin"
        except ValueError as problem:
            why = str(problem)
        raise PartnerRejected(
            f"{self._base_url} gave an iframe_url outside its own origin ({why}); check base_url.",
            partner_status=status,
        )

    def _result(self, fields: Fields, asked: str) -> Result:
        status = _status(fields)
        if status != Status.COMPLETED:
            return Result(status)
        if fields.get("registration_id") != asked:
            raise InvalidPayload("registration_id must be the one that was asked about.")
        completion = Completion(
            registration_id=asked,
            credentials=read_credentials(fields, otherwise_completed_at=datetime.now(UTC)),
            signed_at=None,
            partner_fields=None,
            token_id=self._token_id,
            dated=fields.get("completed_at") is not None,
        )
        return Result(status, completion)

    def _retry(self, fields: Fields) -> Retry:
        attempts, last_error = fields.get("attempts"), fields.get("last_error")
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 0:
            raise InvalidPayload("attempts must be a whole number, 0 or more.")
        return Retry(_status(fields), attempts, self._quote(last_error))

    # --- refusals --------------------------------------------------------------------------------

    def _refusal(self, reply: HttpReply) -> PartnerError:
        """Return the error for a reply whose status is not 2xx."""
        quote = self._quoted_message(reply)
        retry_after = reply.retry_after if reply.status in _ASK_TO_WAIT else None
        summary = f"{self._base_url} answered {reply.status}" + (f" and said: {quote}" if quote else "")
        if 300 <= reply.status < 400:
            hint = "set base_url to where it redirects; redirects are not followed, so the token stays here"
        elif 400 <= reply.status < 500:
            hint = _WHAT_TO_DO.get(reply.status, "check base_url").format(wait=_wait(retry_after))
        else:
            hint = f"try again in {_wait(retry_after)}"
            return PartnerUnavailable(f"{summary} ({hint})", retry_after=retry_after)
        return PartnerRejected(f"{summary} ({hint})", partner_status=reply.status, retry_after=retry_after)

    def _quoted_message(self, reply: HttpReply) -> str:
        try:
            return self._quote(_fields(reply).get("message"))
        except InvalidPayload:
            return ""

    def _quote(self, text: object) -> str:
        """Make a text of the Partner API safe for a log: one short line without the token."""
        if not isinstance(text, str):
            return ""
        # First, because an invisible character inside the token would hide it from `replace`.
        visible = "".join(filter(str.isprintable, text))
        return visible.replace(self._token, "<partner token>")[:LONGEST_QUOTE]


def _wait(seconds: float | None) -> str:
    return "a moment" if seconds is None else f"{seconds:.0f} seconds"


def _fields(reply: HttpReply) -> Fields:
    if reply.body is None:
        raise InvalidPayload("The body is longer than 64 KiB, or compressed although that was not asked for.")
    try:
        return parse_object(reply.body)
    except NotStrictJson as problem:
        raise InvalidPayload(f"The body is not strict JSON: {problem}.") from None


def _status(fields: Fields) -> str:
    status = fields.get("status")
    if not isinstance(status, str) or not _STATUS.fullmatch(status) or status == "error":
        raise InvalidPayload("status must be a word like started.")
    return status


def _expiry(fields: Fields) -> datetime:
    text = fields.get("expires_at")
    if not isinstance(text, str):
        raise InvalidPayload("expires_at must be a string.")
    return parse_instant(text, "expires_at")


# --- arguments -------------------------------------------------------------------------------------


def _checked_settings(base_url: str, token: object) -> str:
    problems = []
    try:
        base_url = require_base(base_url)
    except ValueError as problem:
        problems.append(f"base_url: {problem}")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        problems.append("partner_token: it must be one or more visible ASCII characters, without spaces")
    if problems:
        raise ConfigurationError(problems)
    return base_url


def _checked_url(name: str, url: str, check: Callable[[str], str]) -> str:
    if not isinstance(url, str):
        raise InvalidArgument(f"{name} must be a string.")
    try:
        return check(url)
    except ValueError as problem:
        raise InvalidArgument(f"{name}: {problem}.") from None


def _checked_id(registration_id: str) -> str:
    if not is_registration_id(registration_id):
        raise InvalidArgument("registration_id must be 1 to 128 of A-Z a-z 0-9 _ -.")
    return registration_id


def _body(**texts: str | None) -> bytes:
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise InvalidArgument(f"{name} must be a string.")
        if text is not None and not is_unicode(text):
            raise InvalidArgument(f"{name} holds half of a surrogate pair; remove that character.")
    body = json.dumps({name: text for name, text in texts.items() if text is not None}).encode()
    if len(body) > MAX_REQUEST:
        raise InvalidArgument("The texts of a call must be no longer than 32 KiB, all together.")
    return body
