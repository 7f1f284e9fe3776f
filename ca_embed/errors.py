"""Every error of ca_embed, in one tree with one root.

    EmbedError
    ├── ConfigurationError         the arguments of Embed, or its environment variables
    ├── InvalidArgument       400  an argument of a Python call is wrong
    ├── RequestError               an HTTP request was refused
    │   ├── InvalidSignature  401      ├── InvalidPayload    400
    │   ├── StaleTimestamp    401      ├── MismatchedSession 409
    │   ├── NotSignedIn       401      ├── ForbiddenOrigin   403
    │   ├── BodyTooLarge      413      ├── UnreadableBody    400
    │   ├── InvalidRequest    400      ├── NotFound          404
    │   ├── MethodNotAllowed  405      └── TooManySessions   429
    ├── PartnerError               a call of the Partner API failed
    │   ├── PartnerTimeout    504
    │   │   └── PartnerBusy            not called: too many calls are under way here
    │   ├── PartnerUnavailable 502
    │   └── PartnerRejected   502      with the Partner API's own status in `partner_status`
    └── StorageUnavailable    503  the storage failed
        ├── RecordUnreadable           a stored record cannot be opened
        │   ├── UnknownKey                 sealed under a key that is not in the keyring
        │   ├── Tampered                   the seal is broken, or belongs to another record
        │   └── ForeignFormat              not a record that ca_embed has sealed
        ├── ForeignStorage             it belongs to another application
        └── StorageContention          others changed a record at every attempt to save it

Each class has the `code` and `status` of its HTTP response. `answer` is the text for the caller. It is a
constant where details would help an attacker or reveal internals, and the message itself elsewhere. No
message contains a secret.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BodyTooLarge",
    "ConfigurationError",
    "EmbedError",
    "ForbiddenOrigin",
    "ForeignFormat",
    "ForeignStorage",
    "InvalidArgument",
    "InvalidPayload",
    "InvalidRequest",
    "InvalidSignature",
    "MethodNotAllowed",
    "MismatchedSession",
    "NotFound",
    "NotSignedIn",
    "PartnerBusy",
    "PartnerError",
    "PartnerRejected",
    "PartnerTimeout",
    "PartnerUnavailable",
    "RecordUnreadable",
    "RequestError",
    "StaleTimestamp",
    "StorageContention",
    "StorageUnavailable",
    "Tampered",
    "TooManySessions",
    "UnknownKey",
    "UnreadableBody",
]


class EmbedError(Exception):
    """The root of all errors of ca_embed."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 503
    _public_text: ClassVar[str | None] = None

    @property
    def answer(self) -> str:
        """The text that an HTTP caller may read."""
        return self._public_text or str(self)


class ConfigurationError(EmbedError, ValueError):
    """Settings are missing or wrong. `problems` has a text for each, which never contains a secret."""

    code: ClassVar[str] = "configuration"

    def __init__(self, problems: list[str]) -> None:
        """Join the problems into one message, so that one start shows all of them."""
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("ca_embed cannot start:\n" + "\n".join(f"  - {problem}" for problem in problems))


class InvalidArgument(EmbedError, ValueError):
    """An argument of a call is wrong. The message names the argument, never its value."""

    code: ClassVar[str] = "invalid_request"
    status: ClassVar[int] = 400


class RequestError(EmbedError):
    """An HTTP request was refused. `reason` is the word that the log shows."""

    status: ClassVar[int] = 400
    _default_reason: ClassVar[str] = "refused"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        """Take the message, and a reason for the log if the class's default is not exact enough."""
        super().__init__(message)
        self.reason: str = reason or self._default_reason


class InvalidSignature(RequestError):
    """The webhook's signature headers are missing or malformed, or match no live partner token."""

    code: ClassVar[str] = "invalid_signature"
    status: ClassVar[int] = 401
    _public_text: ClassVar[str | None] = (
        "The signature headers are missing, malformed or match no current partner token."
    )


class StaleTimestamp(RequestError):
    """The webhook is authentic, but its timestamp is outside the replay window."""

    code: ClassVar[str] = "stale_timestamp"
    status: ClassVar[int] = 401
    _default_reason: ClassVar[str] = "stale"
    _public_text: ClassVar[str | None] = (
        "The timestamp is outside the replay window. Sign the webhook again with the current time."
    )


class InvalidPayload(RequestError):
    """The webhook is authentic, but its body differs from what the guide describes."""

    code: ClassVar[str] = "invalid_payload"
    status: ClassVar[int] = 400
    _default_reason: ClassVar[str] = "bad_payload"


class MismatchedSession(RequestError):
    """The webhook names another user or state than its session was created with.

    `registration_id` says which session.
    """

    code: ClassVar[str] = "mismatched_session"
    status: ClassVar[int] = 409
    _default_reason: ClassVar[str] = "mismatched"
    _public_text: ClassVar[str | None] = (
        "partner_user_id or partner_state differs from what the session was created with."
    )

    def __init__(self, *, registration_id: str) -> None:
        """Name the registration in the message."""
        super().__init__(f"registration {registration_id!r} was created for another user or state")
        self.registration_id: str = registration_id


class NotSignedIn(RequestError):
    """The host's `identify` says that no one is signed in."""

    code: ClassVar[str] = "not_signed_in"
    status: ClassVar[int] = 401
    _default_reason: ClassVar[str] = "not_signed_in"
    _public_text: ClassVar[str | None] = "Sign in first, then try again."


class ForbiddenOrigin(RequestError):
    """The request comes from a page whose origin is not in `parent_origins`."""

    code: ClassVar[str] = "forbidden_origin"
    status: ClassVar[int] = 403
    _default_reason: ClassVar[str] = "forbidden_origin"
    _public_text: ClassVar[str | None] = (
        "Pages of this origin may not register here. Add the origin to parent_origins to allow it."
    )


class InvalidRequest(RequestError):
    """The body that the page sent is not a JSON object, or a field in it has the wrong type."""

    code: ClassVar[str] = "invalid_request"
    status: ClassVar[int] = 400
    _default_reason: ClassVar[str] = "bad_request"


class BodyTooLarge(RequestError):
    """The body is longer than 64 KiB. Send a shorter one."""

    code: ClassVar[str] = "body_too_large"
    status: ClassVar[int] = 413
    _default_reason: ClassVar[str] = "too_large"
    _public_text: ClassVar[str | None] = "The body is longer than 64 KiB. Send a shorter one."


class UnreadableBody(RequestError):
    """The body did not arrive complete, or not as long as announced."""

    code: ClassVar[str] = "unreadable_body"
    status: ClassVar[int] = 400
    _default_reason: ClassVar[str] = "unreadable"


class NotFound(RequestError):
    """There is no such path, or no such registration of this user."""

    code: ClassVar[str] = "not_found"
    status: ClassVar[int] = 404
    _default_reason: ClassVar[str] = "not_found"
    _public_text: ClassVar[str | None] = "Not found. Check the path and the registration id."


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method. `allowed` lists the methods that it takes."""

    code: ClassVar[str] = "method_not_allowed"
    status: ClassVar[int] = 405
    _default_reason: ClassVar[str] = "method_not_allowed"

    def __init__(self, allowed: list[str]) -> None:
        """Keep the methods that the path takes."""
        super().__init__(f"Use {' or '.join(allowed)} here.")
        self.allowed: tuple[str, ...] = tuple(allowed)


class TooManySessions(RequestError):
    """A user opened more sessions than `session_limit` allows. `retry_after` is the wait in seconds."""

    code: ClassVar[str] = "too_many_sessions"
    status: ClassVar[int] = 429
    _default_reason: ClassVar[str] = "too_many_sessions"
    _public_text: ClassVar[str | None] = (
        "Too many registrations were started in a short time. Try again in a few minutes."
    )

    def __init__(self, at_most: int, seconds: float, *, retry_after: int) -> None:
        """Name the limit in the message, and keep the seconds until it allows the next session."""
        super().__init__(
            f"one user may open {at_most} sessions in {seconds:g} s; the next one in {retry_after} s; "
            "session_limit sets this"
        )
        self.retry_after: int = retry_after


class PartnerError(EmbedError):
    """A call of the Partner API failed.

    `retry_after` is the number of seconds that ChatArchitect asks to wait before the next call, from 0 to a
    day. It is None if ChatArchitect does not say. Only a reply with status 429 or 503 sets it.
    """

    status: ClassVar[int] = 502

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Take the message, and the seconds to wait before the next call."""
        super().__init__(message)
        self.retry_after: float | None = retry_after


class PartnerTimeout(PartnerError):
    """The Partner API did not answer in time."""

    code: ClassVar[str] = "partner_timeout"
    status: ClassVar[int] = 504
    _public_text: ClassVar[str | None] = "ChatArchitect did not answer in time. Try again in a moment."


class PartnerBusy(PartnerTimeout):
    """The Partner API was not called: too many calls in this process are waiting for it already."""

    _public_text: ClassVar[str | None] = (
        "Too many registrations are being started at the moment. Try again in a few seconds."
    )


class PartnerUnavailable(PartnerError):
    """The Partner API cannot be reached, failed (5xx), or did not answer as the guide describes."""

    code: ClassVar[str] = "partner_unavailable"
    _public_text: ClassVar[str | None] = (
        "ChatArchitect cannot be reached at the moment. Try again in a moment."
    )


class PartnerRejected(PartnerError):
    """The Partner API refused the call (4xx, a redirect, an iframe_url outside its origin)."""

    code: ClassVar[str] = "partner_rejected"
    _public_text: ClassVar[str | None] = (
        "ChatArchitect refused the request. The operator finds the reason in the log."
    )

    def __init__(self, message: str, *, partner_status: int, retry_after: float | None = None) -> None:
        """Keep the Partner API's own HTTP status beside the message."""
        super().__init__(message, retry_after=retry_after)
        self.partner_status: int = partner_status


class StorageUnavailable(EmbedError):
    """The storage cannot be read or written: it is locked, unreachable, full, read-only or broken."""

    code: ClassVar[str] = "storage_unavailable"
    status: ClassVar[int] = 503
    _public_text: ClassVar[str | None] = (
        "The storage is not available at the moment. Try again in a few seconds."
    )


class ForeignStorage(StorageUnavailable):
    """The storage belongs to another application, with another `public_url` and other partner tokens."""


class KeysUnavailable(StorageUnavailable):
    """The function in `encryption_keys` has raised, not returned in time, or returned no usable keys."""


class StorageContention(StorageUnavailable):
    """Others changed a record at every attempt to save it.

    `registration_id` says which registration; None for the record that counts a user's sessions.
    """

    def __init__(self, message: str, *, registration_id: str | None = None) -> None:
        """Take the message, and which registration it is about."""
        super().__init__(message)
        self.registration_id: str | None = registration_id


class RecordUnreadable(StorageUnavailable):
    """A stored record cannot be opened. `registration_id` says which one."""

    def __init__(self, message: str, *, registration_id: str) -> None:
        """Name the record in the message, so that it can be found."""
        super().__init__(f"record {registration_id!r}: {message}")
        self.registration_id: str = registration_id


class UnknownKey(RecordUnreadable):
    """The record is sealed under a key that is not in the keyring."""


class Tampered(RecordUnreadable):
    """The seal is broken: the bytes were changed, or the record was moved from another row."""


class ForeignFormat(RecordUnreadable):
    """The bytes are not a record that ca_embed has sealed."""
