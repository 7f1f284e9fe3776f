"""The sandbox as Python sees it: started, driven and watched from a test or a demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

from ca_embed.sandbox._app import App
from ca_embed.sandbox._background import Background
from ca_embed.sandbox._control import Control
from ca_embed.sandbox._delivery import Deliverer, Delivery, Overrides
from ca_embed.sandbox._guard import Guard
from ca_embed.sandbox._inputs import is_printable_ascii
from ca_embed.sandbox._journal import Journal, JournalEntry
from ca_embed.sandbox._knobs import Knobs
from ca_embed.sandbox._pages import Pages
from ca_embed.sandbox._partner_api import PartnerApi
from ca_embed.sandbox._registrations import Registrations
from ca_embed.sandbox._server import Server
from ca_embed.sandbox._sessions import SandboxSession, Sessions

DEFAULT_TOKEN = "sandbox-partner-token-0001"  # noqa: S105 (known to all, worth nothing)


class Sandbox:
    """A ChatArchitect of your own, on this machine.

    `partner_tokens` are the Bearer tokens of as many partners; a session belongs to the one that
    opened it. `port` 0 takes a free one, and keeps it over `stop()` and `start()`.

    Methods that take a `registration_id` raise LookupError if the sandbox has no such session.
    """

    def __init__(
        self,
        partner_tokens: Sequence[str] = (DEFAULT_TOKEN,),
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        usable = [token for token in partner_tokens if token and is_printable_ascii(token)]
        if isinstance(partner_tokens, str) or not usable or len(usable) < len(partner_tokens):
            raise ValueError("partner_tokens must be a list of one or more texts of visible ASCII")
        self.knobs = Knobs()
        self._partner_tokens = tuple(partner_tokens)
        self._host = host
        self._port = port
        self._server: Server | None = None
        self._base_url = ""
        self._background = Background()
        self._journal = Journal()
        self._sessions = Sessions(hide=self._journal.hide)
        self._deliverer = Deliverer(self._sessions, self.knobs, self._journal, self._background)
        self._registrations = Registrations(self._sessions)
        for token in self._partner_tokens:
            self._journal.hide(token)

    # ------------------------------------------------------------------------- life

    def start(self) -> Self:
        """Listen and answer; OSError if the port is taken."""
        if self._server is not None:
            raise RuntimeError("this sandbox is already running")
        self._background.start()
        server = Server(self._host, self._port)
        self._port = server.port
        self._base_url = server.base_url
        server.serve(self._app())
        self._server = server
        return self

    def stop(self) -> None:
        """Stop answering, drop the deliveries that wait, and let the running ones end."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._background.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Sandbox {self._base_url or 'not started'}>"

    @property
    def base_url(self) -> str:
        """Where it listens, like "http://127.0.0.1:49152"."""
        if not self._base_url:
            raise RuntimeError("start the sandbox first: it has no address yet")
        return self._base_url

    @property
    def partner_token(self) -> str:
        """The first of the partner tokens."""
        return self._partner_tokens[0]

    # ---------------------------------------------------------------------- looking

    @property
    def sessions(self) -> list[SandboxSession]:
        """Every session, the oldest first, as they stand now."""
        return self._sessions.all()

    def session(self, registration_id: str) -> SandboxSession:
        """One session as it stands now."""
        return self._sessions.get(registration_id)

    def secret_of(self, registration_id: str) -> str:
        """The `app_secret` that the session hands out; random for each, so that a test can search for it."""
        return self._sessions.app_secret_of(registration_id)

    @property
    def journal(self) -> list[JournalEntry]:
        """The last thousand calls and deliveries, the oldest first, secrets masked."""
        return self._journal.entries()

    # ---------------------------------------------------------------------- driving

    def advance(self, registration_id: str, status: str) -> None:
        """Set one of the guide's in-progress statuses, as if the person had got that far."""
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
        """Complete a registration as if the person had walked through the page.

        What is not given is what the session has (`completed_at`: now). Works on an expired session
        too, and again on a completed one, which then has the new credentials.

        Returns what became of the webhook, after it was answered: nothing with `deliver=False` or
        while the knob `deliveries` is "late"; two results while it is "duplicate".
        """
        self._registrations.complete(
            registration_id,
            app_id=app_id,
            app_secret=app_secret,
            phone=phone,
            completed_at=completed_at,
        )
        return self._deliverer.deliver_as_the_knob_says(registration_id) if deliver else ()

    def expire(self, registration_id: str) -> None:
        """Let a session's time be over."""
        self._registrations.expire(registration_id)

    def fail(self, registration_id: str, message: str) -> None:
        """Let Meta's signup fail; an open page says so and tells its parent."""
        self._registrations.fail(registration_id, message)

    def cancel(self, registration_id: str) -> None:
        """Let the person cancel Meta's signup; an open page says so and tells its parent."""
        self._registrations.cancel(registration_id)

    def deliver(
        self,
        registration_id: str,
        *,
        timestamp: int | str | None = None,
        token: str | None = None,
        event_id: str | None = None,
        payload_overrides: Mapping[str, object] | None = None,
    ) -> Delivery:
        """Send the webhook (again), once, whatever the knobs say; see `signed_webhook`."""
        overrides = Overrides(
            timestamp=timestamp, token=token, event_id=event_id, payload=payload_overrides or {}
        )
        return self._deliverer.deliver_exactly(registration_id, overrides)

    def signed_webhook(
        self,
        registration_id: str,
        *,
        timestamp: int | str | None = None,
        token: str | None = None,
        event_id: str | None = None,
        payload_overrides: Mapping[str, object] | None = None,
    ) -> tuple[dict[str, str], bytes]:
        """Build the headers and the body that the next delivery would have, and send nothing.

        `token` signs instead of the session's own. `payload_overrides` replaces or adds fields; one
        whose value is `...` is left out.
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
            knobs=self.knobs,
            background=self._background,
            partner_tokens=self._partner_tokens,
            base_url=self._base_url,
        )
        guard = Guard(self._base_url)
        pages = Pages(
            self._registrations,
            self._deliverer,
            knobs=self.knobs,
            background=self._background,
            guard=guard,
        )
        control = Control(
            self._registrations,
            self._deliverer,
            knobs=self.knobs,
            journal=self._journal,
            guard=guard,
        )
        return App(partner_api, pages, control, self._journal)
