"""The Partner API: its three calls and their errors (ChatArchitect's guide, "Partner API").

Arguments are checked before anything is sent, as the guide demands. Answers are read strictly: what the
guide does not describe counts as no answer, be it credentials that are incomplete or those of another
registration, and an `iframe_url` that would show the user another site is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from ca_embed._partner.transport import Answer, PartnerHttp
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

MAX_REQUEST = 32 * 1024  # bytes; a webhook, of at most 64 KiB, has to bring the texts back
LONGEST_QUOTE = 200  # characters of what the Partner API says

_TOKEN = re.compile(r"[!-~]+")
_STATUS = re.compile(r"[a-z_]{1,40}")
_WHAT_TO_DO = {
    400: "check the arguments",
    401: "check partner_token",
    403: "check partner_token",
    404: "it is not known there, or another partner token created it; check the id and base_url",
    409: "the registration is not completed yet, so there is no webhook to send again",
    429: "wait a little before the next call",
}

Fields = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result:
    """How far a registration is. `completion` brings the credentials once the status is completed."""

    status: str
    completion: Completion | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """What became of a webhook that was sent again; `last_error` is empty if it arrived."""

    status: str
    attempts: int
    last_error: str


class PartnerClient:
    """The Partner API under one token, over pooled connections. Threads may share it.

    base_url: ChatArchitect's public base URL; https, or http on 127.0.0.1, ::1 or localhost.
    token: the partner token. It goes to `base_url` alone, and is shown nowhere.
    create_deadline, ask_deadline: seconds that creating a session, or any other call, takes at most.

    Calls raise InvalidArgument before anything is sent; after that PartnerTimeout, PartnerUnavailable
    or PartnerRejected.
    """

    def __init__(
        self, base_url: str, token: str, *, create_deadline: float = 30.0, ask_deadline: float = 10.0
    ) -> None:
        """Check the settings; nothing is opened before the first call. Raises ConfigurationError."""
        self._base_url = _checked_settings(base_url, token)
        self._token = token
        self._token_id = token_id(token)
        self._create_deadline, self._ask_deadline = create_deadline, ask_deadline
        self._http = PartnerHttp(self._base_url, token)

    def __repr__(self) -> str:
        """Show where the calls go, not with which token."""
        return f"<PartnerClient {self._base_url}>"

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the pooled connections; a later call opens new ones."""
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
        """Create a session (guide, "Create Embed Session"). What is None is left out.

        parent_origin: scheme://host[:port] of the page that will hold the iframe.
        webhook_url: https, or http on loopback; where ChatArchitect delivers the credentials.

        A call that was sent is never repeated. If its answer got lost, a session exists that nobody
        will use and that expires.
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
        answer = self._http.call("POST", query, seconds=self._create_deadline, json=body)
        return self._read(answer, lambda fields: self._session(fields, answer.status))

    def result(self, registration_id: str) -> Result:
        """Ask how far a registration is (guide, "Get Registration Result")."""
        asked = _checked_id(registration_id)
        query = {"action": "result", "registration_id": asked}
        answer = self._http.call("GET", query, seconds=self._ask_deadline)
        return self._read(answer, lambda fields: self._result(fields, asked))

    def retry_webhook(self, registration_id: str) -> Retry:
        """Have the webhook of a completed registration sent again (guide, "Retry Webhook").

        PartnerRejected with the `partner_status` 409 says that it is not completed yet. A call that was
        sent is never repeated.
        """
        body = _body(registration_id=_checked_id(registration_id))
        query = {"action": "retry_webhook"}
        answer = self._http.call("POST", query, seconds=self._ask_deadline, json=body)
        return self._read(answer, self._retry)

    # --- answers ---------------------------------------------------------------------------------

    def _read(self, answer: Answer, reader: Callable[[Fields], T]) -> T:
        if not 200 <= answer.status < 300:
            raise self._refusal(answer)
        try:
            return reader(_fields(answer))
        except InvalidPayload as problem:
            raise PartnerUnavailable(
                f"{self._base_url} did not answer as the guide describes: {problem} Check base_url."
            ) from None

    def _session(self, fields: Fields, status: int) -> Session:
        registration_id, iframe_url = fields.get("registration_id"), fields.get("iframe_url")
        if not is_registration_id(registration_id):
            raise InvalidPayload("registration_id is not 1 to 128 of A-Z a-z 0-9 _ -.")
        if not isinstance(iframe_url, str):
            raise InvalidPayload("iframe_url is not a string.")
        if (word := _status(fields)) == Status.COMPLETED:
            raise InvalidPayload("status says that a session which has just been created is completed.")
        session = Session(registration_id, iframe_url, _expiry(fields), word)
        self._refuse_other_sites(iframe_url, status)
        return session

    def _refuse_other_sites(self, iframe_url: str, status: int) -> None:
        """Let no answer choose what the user sees; `base_url` says which site is trusted."""
        try:
            trouble = "" if origin_of(iframe_url) == origin_of(self._base_url) else "its origin is another"
        except ValueError as problem:
            trouble = str(problem)
        if trouble:
            raise PartnerRejected(
                f"{self._base_url} gave an iframe_url outside its own origin ({trouble}); check base_url.",
                partner_status=status,
            )

    def _result(self, fields: Fields, asked: str) -> Result:
        status = _status(fields)
        if status != Status.COMPLETED:
            return Result(status)
        if fields.get("registration_id") != asked:
            raise InvalidPayload("registration_id is not the one that was asked about.")
        completion = Completion(
            registration_id=asked,
            credentials=read_credentials(fields, otherwise_completed_at=datetime.now(UTC)),
            signed_at=None,
            echo=None,
            token_id=self._token_id,
        )
        return Result(status, completion)

    def _retry(self, fields: Fields) -> Retry:
        attempts, last_error = fields.get("attempts"), fields.get("last_error")
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 0:
            raise InvalidPayload("attempts is not a count.")
        return Retry(_status(fields), attempts, self._quote(last_error))

    # --- refusals --------------------------------------------------------------------------------

    def _refusal(self, answer: Answer) -> PartnerError:
        said = self._message(answer)
        reply = f"{self._base_url} answered {answer.status}" + (f" and said: {said}" if said else "")
        if 300 <= answer.status < 400:
            hint = "set base_url to where it redirects; the token is not sent along"
        elif 400 <= answer.status < 500:
            hint = _WHAT_TO_DO.get(answer.status, "check base_url")
        else:
            return PartnerUnavailable(f"{reply} (try again in a moment)")
        return PartnerRejected(f"{reply} ({hint})", partner_status=answer.status)

    def _message(self, answer: Answer) -> str:
        try:
            return self._quote(_fields(answer).get("message"))
        except InvalidPayload:
            return ""

    def _quote(self, words: object) -> str:
        """Make the other side's words fit for a log: one short line without the token."""
        if not isinstance(words, str):
            return ""
        visible = "".join(filter(str.isprintable, words))
        return visible.replace(self._token, "<partner token>")[:LONGEST_QUOTE]


def _fields(answer: Answer) -> Fields:
    if answer.body is None:
        raise InvalidPayload("The body is longer than 64 KiB, or compressed although that was not asked for.")
    try:
        return parse_object(answer.body)
    except NotStrictJson as problem:
        raise InvalidPayload(f"The body is not strict JSON: {problem}.") from None


def _status(fields: Fields) -> str:
    status = fields.get("status")
    if not isinstance(status, str) or not _STATUS.fullmatch(status) or status == "error":
        raise InvalidPayload("status is not the word of a status.")
    return status


def _expiry(fields: Fields) -> datetime:
    text = fields.get("expires_at")
    if not isinstance(text, str):
        raise InvalidPayload("expires_at is not a string.")
    return parse_instant(text, "expires_at")


# --- arguments -------------------------------------------------------------------------------------


def _checked_settings(base_url: str, token: object) -> str:
    problems = []
    try:
        base_url = require_base(base_url)
    except ValueError as problem:
        problems.append(f"base_url: {problem}")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        problems.append("partner_token: it is empty, or holds spaces or characters that no token has")
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
            raise InvalidArgument(f"{name} holds half of a surrogate pair.")
    body = json.dumps({name: text for name, text in texts.items() if text is not None}).encode()
    if len(body) > MAX_REQUEST:
        raise InvalidArgument("The texts of a call must stay below 32 KiB, all together.")
    return body
