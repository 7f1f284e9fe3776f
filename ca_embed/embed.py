"""`Embed`: the library as a host application sees it. Built once, shared by all threads and applications."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property, partial
from logging import Logger
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

from ca_embed._config import collect, environment, read_settings
from ca_embed._core import Core, build_core
from ca_embed._embed_calls import EmbedCalls
from ca_embed._events import Event
from ca_embed._frames import clears_locals
from ca_embed._host.audit import Audit
from ca_embed._host.error_hooks import ErrorHook
from ca_embed._host.handlers import EventHandler, Handler
from ca_embed._host.identify import Identify
from ca_embed._host.key_provider import KeyProvider
from ca_embed._host.staff import Staff
from ca_embed._host.threads import Pool
from ca_embed._host.user_ids import UserId
from ca_embed._reconciliation import Reconciliation
from ca_embed._reconciling import Reconciling
from ca_embed._registration import Credentials, Registration, Session
from ca_embed._vault.maintenance import Progress, Rotation
from ca_embed._webhook import COMPLETED_EVENT
from ca_embed.errors import ConfigurationError
from ca_embed.storage._base import AsyncStorage, Storage
from ca_embed.storage._resolve import open_storage

if TYPE_CHECKING:  # imported when they are used: `import ca_embed` is light
    from ca_embed._partner.client import Retry
    from ca_embed.asgi import AsgiApp
    from ca_embed.assets._html import Csrf, Html
    from ca_embed.wsgi import WsgiApp

__all__ = ["Embed"]

_H = TypeVar("_H", bound=Handler)
_E = TypeVar("_E", bound=ErrorHook)
_V = TypeVar("_V", bound=EventHandler)


class Embed(EmbedCalls):
    """WhatsApp registration with ChatArchitect, for one host application.

    base_url: ChatArchitect's public base URL.
    partner_token: the Partner API token, or several, with the newest first: the first that
        ChatArchitect accepts calls, any may have signed a webhook.
    public_url: this mount as the outside world sees it, like https://crm.example/chatarchitect.
    storage: a storage URL, a `Storage`, or an `AsyncStorage`.
    encryption_keys: secret texts of 16 characters or more: the first seals, all open. Or a function that
        returns them, for example from a key management service. It is called once, at the first use, and
        may be asynchronous.
    identify: gets the host's own request object (or the WSGI environ, or the ASGI scope) and returns
        the id of the signed-in user, or None. May be asynchronous.
    parent_origins: origins of the pages that show the iframe; by default the origin of `public_url`.
    integration, lang: what sessions are created with where the call does not say.
    login_url: where a signed-out visitor of the hosted page is sent: a path like /login, or an https URL.
    return_url: where the hosted page leads back to: a path, or a URL of an origin that `parent_origins`
        allows. The page's own `?return_url=` comes before it.
    appearance: how the hosted page looks: a dict with any of `name`, `logo`, `logo_dark` and `accent`.
    replay_window: seconds by which a webhook's timestamp may differ from this clock, either way.
    session_limit: how many sessions a user's page may open, and in how many seconds. None: any number.
    handlers: when `on_completed` handlers run: in the "request" that stored the credentials, or
        only in `reconcile()`.
    disconnectable: whether a page may disconnect its user's registration (`DELETE /sessions/<id>`).
    event_retention: how long signed events are kept once their handlers are done; None: for ever.
    audit: a function that gets an `AuditEntry`, or a `logging.Logger`: hears of each read of credentials,
        replay, retried webhook, disconnect, erasure, export and key rotation. The function may be
        asynchronous.
    staff: gets the request like `identify`, and returns whether the visitor may use the operator's page at
        /staff: True or False, or the person's name, which the audit trail gets. May be asynchronous. None: no
        one may.
    namespace: a part of the storage for this Embed alone, like "brand-a"; 1 to 40 of a-z 0-9 -.
    clock: returns Unix seconds.

    Raises ConfigurationError, which names everything that is missing or wrong.
    """

    @clears_locals
    def __init__(
        self,
        *,
        base_url: str | None = None,
        partner_token: str | Sequence[str] | None = None,
        public_url: str | None = None,
        storage: str | Storage | AsyncStorage | None = None,
        encryption_keys: str | Sequence[str] | KeyProvider | None = None,
        identify: Identify | None = None,
        parent_origins: Sequence[str] | None = None,
        integration: str | None = None,
        lang: str | None = None,
        replay_window: float = 300,
        session_limit: tuple[int, float] | None = (10, 600),
        login_url: str | None = None,
        return_url: str | None = None,
        appearance: Mapping[str, str] | None = None,
        handlers: Literal["request", "reconcile"] = "request",
        disconnectable: bool = False,
        event_retention: timedelta | None = timedelta(days=90),
        audit: Audit | None = None,
        staff: Staff | None = None,
        namespace: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Check everything, and open nothing yet."""
        problems: list[str] = []
        settings = collect(
            problems,
            partial(
                read_settings,
                base_url=base_url,
                partner_token=partner_token,
                public_url=public_url,
                encryption_keys=encryption_keys,
                parent_origins=parent_origins,
                integration=integration,
                lang=lang,
                replay_window=replay_window,
                session_limit=session_limit,
                namespace=namespace,
                login_url=login_url,
                disconnectable=disconnectable,
                return_url=return_url,
                appearance=appearance,
                event_retention=event_retention,
            ),
        )
        opened = collect(problems, partial(open_storage, storage))
        given: object = identify  # callers are not all type-checked
        if given is not None and not callable(given):
            problems.append("identify must be a function of the request, which returns the user's id or None")
        if handlers not in ("request", "reconcile"):
            problems.append('handlers must be "request" or "reconcile"')
        gate: object = staff
        if gate is not None and not callable(gate):
            problems.append("staff must be a function of the request, which returns True, False or a name")
        trail: object = audit
        if trail is not None and not callable(trail) and not isinstance(trail, Logger):
            problems.append("audit must be a function of an AuditEntry, or a logging.Logger")
        if settings is None or opened is None or problems:
            raise ConfigurationError(problems)
        self._core: Core = build_core(
            settings,
            opened,
            identify=identify,
            staff=staff,
            key_provider=encryption_keys if callable(encryption_keys) else None,
            audit=audit,
            clock=clock,
            handlers_at_once=handlers == "request",
        )

    @classmethod
    @clears_locals
    def from_env(cls, *, identify: Identify | None = None, **overrides: Any) -> Self:
        """Build one from the environment variables `CA_EMBED_...`; `overrides` are arguments of Embed."""
        return cls(**{**environment(), "identify": identify, **overrides})

    def __repr__(self) -> str:
        """Show where it is mounted, and no secret."""
        return f"<Embed {self._core.settings.public_url} with {self._core.settings.base_url}>"

    # --- mounting -------------------------------------------------------------------------------

    @cached_property
    def wsgi(self) -> WsgiApp:
        """The WSGI application to mount."""
        from ca_embed.wsgi import WsgiApp

        return WsgiApp(self)

    @cached_property
    def asgi(self) -> AsgiApp:
        """The ASGI application to mount."""
        from ca_embed.asgi import AsgiApp

        return AsgiApp(self)

    def snippet(
        self,
        *,
        endpoint: str | None = None,
        mode: Literal["inline", "modal"] = "inline",
        lang: str | None = None,
        autostart: bool = False,
        nonce: str | None = None,
        csrf: Csrf | None = None,
    ) -> Html:
        """Return the HTML for a page: the script tag and the element, escaped.

        endpoint: the mount as the page reaches it; by default the path of `public_url`.
        nonce: for a Content-Security-Policy that asks for one.
        csrf: the header and token that your own CSRF protection asks of `POST /sessions`.
        Raises ValueError for an argument that cannot be.
        """
        from ca_embed.assets._html import snippet

        return snippet(
            self._core.settings,
            endpoint=endpoint,
            mode=mode,
            lang=lang,
            autostart=autostart,
            nonce=nonce,
            csrf=csrf,
        )

    # --- handlers -------------------------------------------------------------------------------

    @overload
    def on_completed(self, handler: _H) -> _H: ...
    @overload
    def on_completed(self, *, name: str) -> Callable[[_H], _H]: ...
    def on_completed(self, handler: _H | None = None, *, name: str | None = None) -> _H | Callable[[_H], _H]:
        """Register a function that gets `(registration, credentials)` once they are stored.

        Use it as a decorator. The function may be asynchronous. It runs at least once for each accepted
        set of credentials. If it raises, no response changes, and it runs again later.
        name: what the storage remembers; by default the function's own. Give one to a function that may move.
        """

        def keep(function: _H) -> _H:
            self._core.handlers.add(function, name)
            return function

        return keep if handler is None else keep(handler)

    def on_event(self, event: str, *, name: str | None = None) -> Callable[[_V], _V]:
        """Register a function that gets an `Event` for each signed event of this type.

        Use it as a decorator. The completion is no such event: see `on_completed`. The event is stored,
        sealed, before it is acknowledged. The function may be asynchronous, and runs at least once for each
        event, in the order in which those of one registration were signed. If it raises, it runs again later.
        name: what the storage remembers; by default the function's own.
        Raises ConfigurationError.
        """
        given: object = event
        if not isinstance(given, str) or not given:
            raise ConfigurationError(['on_event needs the event type: write @embed.on_event("the.type")'])
        if event == COMPLETED_EVENT:
            raise ConfigurationError([f"on_event: {event!r} is the completion; use @embed.on_completed"])

        def keep(function: _V) -> _V:
            self._core.handlers.add_for(event, function, name)
            return function

        return keep

    def on_error(self, hook: _E) -> _E:
        """Register a function that gets `(error, where)` for each exception of your own code that is caught.

        Use it as a decorator, for example to report to Sentry. The function may be asynchronous.
        where: "identify", "staff", "audit", or "handler" with the handler's name. What the function raises
        is logged.
        """
        self._core.error_hooks.add(hook)
        return hook

    # --- beside the application -----------------------------------------------------------------

    def reconciling(self, *, every: float = 60) -> Reconciling:
        """Run `reconcile()` beside the application: `with embed.reconciling():` or `async with`.

        A pass runs at once and then every so many seconds, in a thread or as a task, until the block ends.
        Start it in the process that serves, after any fork. Raises InvalidArgument.
        """
        return Reconciling(self.reconcile, self.areconcile, every)

    def close(self) -> None:
        """Release connections, files and threads. The next use opens them again."""
        self._core.close()

    # --- the same, awaitable --------------------------------------------------------------------

    async def acreate_session(
        self,
        user_id: UserId,
        *,
        parent_origin: str | None = None,
        partner_state: str | None = None,
        integration: str | None = None,
        lang: str | None = None,
    ) -> Session:
        """Await `create_session`."""
        call = partial(
            self.create_session,
            user_id,
            parent_origin=parent_origin,
            partner_state=partner_state,
            integration=integration,
            lang=lang,
        )
        return await self._core.threads.run(Pool.PARTNER, call)

    async def aregistration(self, registration_id: str) -> Registration | None:
        """Await `registration`."""
        return await self._core.threads.run(Pool.STORAGE, partial(self.registration, registration_id))

    async def aregistrations(
        self, user_id: UserId | None = None, status: str | None = None
    ) -> list[Registration]:
        """Await `registrations`."""
        return await self._core.threads.run(Pool.STORAGE, partial(self.registrations, user_id, status))

    async def aevents(self, registration_id: str) -> list[Event]:
        """Await `events`."""
        return await self._core.threads.run(Pool.STORAGE, partial(self.events, registration_id))

    async def acredentials(self, registration_id: str) -> Credentials | None:
        """Await `credentials`."""
        return await self._core.threads.run(Pool.STORAGE, partial(self.credentials, registration_id))

    async def areconcile(self, *, limit: int | None = None, seconds: float = 50) -> Reconciliation:
        """Await `reconcile`."""
        call = partial(self.reconcile, limit=limit, seconds=seconds)
        return await self._core.threads.run(Pool.PARTNER, call)

    async def areplay(self, registration_id: str, handler: str | None = None) -> None:
        """Await `replay`."""
        await self._core.threads.run(Pool.STORAGE, partial(self.replay, registration_id, handler))

    async def adisconnect(self, registration_id: str) -> Registration:
        """Await `disconnect`."""
        return await self._core.threads.run(Pool.STORAGE, partial(self.disconnect, registration_id))

    async def aretry_webhook(self, registration_id: str) -> Retry:
        """Await `retry_webhook`."""
        return await self._core.threads.run(Pool.PARTNER, partial(self.retry_webhook, registration_id))

    async def arotate_keys(self, *, dry_run: bool = False, progress: Progress | None = None) -> Rotation:
        """Await `rotate_keys`; `progress` is called in its thread."""
        call = partial(self.rotate_keys, dry_run=dry_run, progress=progress)
        return await self._core.threads.run(Pool.STORAGE, call)

    async def akey_usage(self) -> dict[str, int]:
        """Await `key_usage`."""
        return await self._core.threads.run(Pool.STORAGE, self.key_usage)

    async def aforget(self, user_id: UserId) -> int:
        """Await `forget`."""
        return await self._core.threads.run(Pool.STORAGE, partial(self.forget, user_id))

    async def aexport(self, user_id: UserId) -> dict[str, Any]:
        """Await `export`."""
        return await self._core.threads.run(Pool.STORAGE, partial(self.export, user_id))

    async def apurge_expired(self, older_than: timedelta, *, dry_run: bool = False) -> int:
        """Await `purge_expired`."""
        return await self._core.threads.run(
            Pool.STORAGE, partial(self.purge_expired, older_than, dry_run=dry_run)
        )

    async def aclose(self) -> None:
        """Await `close`."""
        await self._core.threads.run(Pool.STORAGE, self.close)
