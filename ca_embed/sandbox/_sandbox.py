"""The sandbox from Python: start it, drive it and look at it, from a test or a demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

from ca_embed.sandbox._app import App
from ca_embed.sandbox._background import Background
from ca_embed.sandbox._control import Control
from ca_embed.sandbox._delivery import Deliverer, Delivery, Overrides
from ca_embed.sandbox._guard import Guard
from ca_embed.sandbox._journal import Journal, JournalEntry
from ca_embed.sandbox._knobs import Knobs
from ca_embed.sandbox._pages import Pages
from ca_embed.sandbox._partner_api import PartnerApi
from ca_embed.sandbox._partners import Partners
from ca_embed.sandbox._registrations import Registrations
from ca_embed.sandbox._server import Server
from ca_embed.sandbox._sessions import SandboxSession, Sessions

DEFAULT_TOKEN = "sandbox-partner-token-0001"  # noqa: S105 (public, and valid in the sandbox only)


class Sandbox:
    """A local ChatArchitect. Use it as a context manager, or call `start()` and `stop()`.

    partner_tokens: one Bearer token for each partner. A session belongs to the partner that opened it.
    host, port: where it listens. Port 0 takes a free port, and keeps it for the next `start()`.

    Methods that take a `registration_id` raise LookupError if the sandbox has no such session.
    """

    def __init__(
        self,
        partner_tokens: Sequence[str] = (DEFAULT_TOKEN,),
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._knobs = Knobs()
        self._host = host
        self._port = port
        self._server: Server | None = None
        self._base_url = ""
        self._background = Background()
        self._journal = Journal()
        self._partners = Partners(partner_tokens, hide=self._journal.hide)
        self._sessions = Sessions(hide=self._journal.hide)
        self._deliverer = Deliverer(self._sessions, self._knobs, self._journal, self._background)
        self._registrations = Registrations(self._sessions)

    # ------------------------------------------------------------------- start, stop

    def start(self) -> Self:
        """Listen, serve in the background, and return this sandbox. Raises OSError if the port is taken."""
        if self._server is not None:
            raise RuntimeError("this sandbox is already running; stop() it first")
        self._background.start()
        server = Server(self._host, self._port)
        self._port = server.port
        self._base_url = server.base_url
        server.serve(self._app())
        self._server = server
        return self

    def stop(self) -> None:
        """Stop listening, drop late deliveries, and wait for those under way. The sessions stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._background.stop()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        """Stop it."""
        self.stop()

    def __repr__(self) -> str:
        return f"<Sandbox {self._base_url or 'not started'}>"

    @property
    def base_url(self) -> str:
        """Its address, like "http://127.0.0.1:49152". Raises RuntimeError before the first `start()`."""
        if not self._base_url:
            raise RuntimeError("start the sandbox first: it has no address yet")
        return self._base_url

    @property
    def partner_token(self) -> str:
        """The first token that the first partner's calls may have."""
        return self._partners.first.accepted[0]

    @property
    def knobs(self) -> Knobs:
        """What the sandbox does wrong on purpose: `sandbox.knobs.api_status = 500`."""
        return self._knobs

    # ---------------------------------------------------------------------- looking

    @property
    def sessions(self) -> list[SandboxSession]:
        """The state of every session now, the oldest first."""
        return self._sessions.all()

    def session(self, registration_id: str) -> SandboxSession:
        """Return the state of one session now."""
        return self._sessions.get(registration_id)

    def secret_of(self, registration_id: str) -> str:
        """Return the session's `app_secret`. Each is random, so that a test can search for it."""
        return self._sessions.app_secret_of(registration_id)

    @property
    def journal(self) -> list[JournalEntry]:
        """The last 1000 calls and deliveries, the oldest first, with secrets masked."""
        return self._journal.entries()

    # ---------------------------------------------------------------------- driving

    def advance(self, registration_id: str, status: str) -> None:
        """Set one of the guide's in-progress statuses, as if the person had reached it.

        Raises ValueError for another status, and if the session is completed or expired.
        """
        self._registrations.advance(registration_id, status)

    def complete(
        self,
        registration_id: str,
        *,
        app_id: str | None = None,
        app_secret: str | None = None,
        phone: str | None = None,
        completed_at: datetime | None = None,
        deliver: bool = True,
    ) -> tuple[Delivery, ...]:
        """Complete a registration, as if the person had finished the page, and deliver its webhook.

        app_id, app_secret, phone: replace those of the session. completed_at: by default now.
        deliver: False sends no webhook.

        It works on an expired session too, and again on a completed one, which gets the new values.
        Returns when the webhook was answered: one Delivery, two if the knob `deliveries` is "duplicate",
        none if it is "late" or with `deliver=False`.
        """
        self._registrations.complete(
            registration_id,
            app_id=app_id,
            app_secret=app_secret,
            phone=phone,
            completed_at=completed_at,
        )
        return self._deliverer.deliver_by_knob(registration_id) if deliver else ()

    def expire(self, registration_id: str) -> None:
        """Expire a session now."""
        self._registrations.expire(registration_id)

    def fail(self, registration_id: str, message: str) -> None:
        """Make Meta's signup fail with this message. An open page shows it and tells its parent.

        Raises ValueError if the session is completed or expired.
        """
        self._registrations.fail(registration_id, message)

    def cancel(self, registration_id: str) -> None:
        """Cancel Meta's signup. An open page shows that and tells its parent.

        Raises ValueError if the session is completed or expired.
        """
        self._registrations.cancel(registration_id)

    def change_tokens(self, accepted: Sequence[str], *, signing: str | None = None) -> None:
        """Change the tokens of the first partner, as ChatArchitect does when a partner gets a new one.

        accepted: the tokens that the partner's calls may have from now on. Any other token gets 401.
        signing: the token that signs the partner's webhooks, also those of older sessions. By default the
        first of `accepted`.

        The partner's sessions stay its own. Raises ValueError if a token cannot be used.
        """
        self._partners.change_tokens(accepted, signing)

    def deliver(
        self,
        registration_id: str,
        *,
        timestamp: int | str | None = None,
        token: str | None = None,
        event_id: str | None = None,
        payload_overrides: Mapping[str, object] | None = None,
    ) -> Delivery:
        """Send the webhook once, also again, and ignore the knobs.

        The arguments replace parts of the webhook, as in `signed_webhook()`.
        """
        overrides = Overrides(
            timestamp=timestamp, token=token, event_id=event_id, payload=payload_overrides or {}
        )
        return self._deliverer.deliver_once(registration_id, overrides)

    def send_event(self, registration_id: str, name: str) -> Delivery:
        """Send a signed event that is not the completion, for `on_event` handlers, and ignore the knobs.

        name: the event type. The guide names none but the completion: name yours "made_up....".
        """
        return self._deliverer.deliver_event(registration_id, name)

    def signed_webhook(
        self,
        registration_id: str,
        *,
        timestamp: int | str | None = None,
        token: str | None = None,
        event_id: str | None = None,
        payload_overrides: Mapping[str, object] | None = None,
    ) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of the next delivery, and send nothing.

        timestamp: Unix seconds, by default now. token: signs instead of the partner's own token.
        event_id: the value of X-CA-Event-Id. payload_overrides: fields to replace or to add; the value
        `...` removes a field.
        """
        overrides = Overrides(
            timestamp=timestamp, token=token, event_id=event_id, payload=payload_overrides or {}
        )
        webhook = self._deliverer.compose(registration_id, overrides=overrides)
        return webhook.headers, webhook.body

    def _app(self) -> App:
        partner_api = PartnerApi(
            self._sessions,
            self._deliverer,
            knobs=self._knobs,
            background=self._background,
            partners=self._partners,
            base_url=self._base_url,
        )
        guard = Guard(self._base_url)
        pages = Pages(
            self._registrations,
            self._deliverer,
            knobs=self._knobs,
            background=self._background,
            guard=guard,
        )
        control = Control(
            self._registrations,
            self._deliverer,
            knobs=self._knobs,
            journal=self._journal,
            guard=guard,
        )
        return App(partner_api, pages, control, self._journal)
