"""What a host calls on its `Embed`. Each call blocks; `embed.py` has the awaitable twins."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ca_embed._core import Core
from ca_embed._events import Event
from ca_embed._host.user_ids import UserId
from ca_embed._reconciliation import Pass, Reconciliation
from ca_embed._registration import Credentials, Registration, Session, State, shown
from ca_embed._use_cases.registrar import checked_user_id, order_session
from ca_embed._use_cases.replaying import replay
from ca_embed._vault import maintenance
from ca_embed._vault.export import export
from ca_embed._vault.maintenance import Progress, Rotation
from ca_embed._webhook import is_registration_id
from ca_embed.errors import InvalidArgument, NotFound

if TYPE_CHECKING:  # imported when it is used: `import ca_embed` is light
    from ca_embed._partner.client import Retry


class EmbedCalls:
    """The calls of an `Embed`."""

    _core: Core

    def create_session(
        self,
        user_id: UserId,
        *,
        parent_origin: str | None = None,
        partner_state: str | None = None,
        integration: str | None = None,
        lang: str | None = None,
    ) -> Session:
        """Create a session with ChatArchitect for one of your users, and store it.

        parent_origin: the page's; by default the first of `parent_origins`.
        partner_state: your own opaque text, returned in the webhook and checked there.
        Raises PartnerError, StorageUnavailable, or InvalidArgument.
        """
        core = self._core
        order = order_session(
            core.settings,
            user_id,
            parent_origin=parent_origin,
            partner_state=partner_state,
            integration=integration,
            lang=lang,
        )
        created = core.registrar.create_session(order)
        core.registrar.store_session(order, created)
        return created.session

    def registration(self, registration_id: str) -> Registration | None:
        """Return what is known about a registration, or None. Raises StorageUnavailable."""
        state = self._state(registration_id)
        return None if state is None else shown(state)

    def registrations(self, user_id: UserId | None = None, status: str | None = None) -> list[Registration]:
        """Return all registrations, or one user's, or those of one status, by registration id."""
        whose = None if user_id is None else checked_user_id(user_id)
        found = (shown(state) for state in self._core.ledger.states(whose))
        return [registration for registration in found if status in (None, registration.status)]

    def events(self, registration_id: str) -> list[Event]:
        """Return the stored events of a registration, in the order of their signing."""
        return self._core.events.of(registration_id) if is_registration_id(registration_id) else []

    def credentials(self, registration_id: str) -> Credentials | None:
        """Return the credentials of a completed registration, else None. Raises StorageUnavailable."""
        state = self._state(registration_id)
        if state is None or state.credentials is None:
            return None
        self._core.audit.note("credentials_read", registration_id=registration_id)
        return state.credentials

    def _state(self, registration_id: str) -> State | None:
        return self._core.ledger.load(registration_id) if is_registration_id(registration_id) else None

    def reconcile(self, *, limit: int | None = None, seconds: float = 50) -> Reconciliation:
        """Finish what is due, and return what was done. Run it regularly, for example once a minute.

        Runs handlers that are due, asks the Partner API about open sessions older than 5 seconds, and notes
        what has expired. Any number of processes may run it at once: one of them asks, all run handlers.
        limit: the most questions to ask; None: as many as the time allows.
        seconds: after which nothing new is started. A handler or question that runs then is waited for.
        Raises StorageUnavailable if the storage fails as a whole.
        """
        return Pass(self._core, limit=limit, seconds=seconds).run()

    def replay(self, registration_id: str, handler: str | None = None) -> None:
        """Make the handlers of a completed registration due again, also those that are done or parked.

        The parked handlers of its events are due again too.
        handler: the name of one, for the registration or its events; None: all. The next `reconcile()` runs
            them.
        Raises NotFound if nothing is stored to hand over, InvalidArgument for a handler that is not known.
        """
        if not is_registration_id(registration_id):
            raise NotFound(f"registration {registration_id!r} is not known here")
        replay(self._core.events, self._core.handler_runner, registration_id, handler)
        self._core.audit.note("replayed", registration_id=registration_id)

    def disconnect(self, registration_id: str) -> Registration:
        """Erase the credentials of a number that you no longer use, and return the registration.

        Its status is "disconnected" from then on. No later webhook, answer of the Partner API or replay
        brings credentials back for this registration; the user may register the number anew. ChatArchitect
        is told nothing, and the number stays registered there. An open session can be disconnected too.
        Raises NotFound, StorageUnavailable.
        """
        if not is_registration_id(registration_id):
            raise NotFound(f"registration {registration_id!r} is not known here")
        state = self._core.registrar.disconnect(registration_id)
        self._core.audit.note("disconnected", registration_id=registration_id)
        return shown(state)

    def retry_webhook(self, registration_id: str) -> Retry:
        """Ask ChatArchitect to deliver the webhook of a completed registration again.

        Raises NotFound if the registration is not known here, else PartnerError.
        """
        state = self._state(registration_id)
        if state is None:
            raise NotFound(f"registration {registration_id!r} is not known here")
        retry = self._core.clients.retry_webhook(state.token_id, registration_id)
        self._core.audit.note("webhook_retried", registration_id=registration_id)
        return retry

    def rotate_keys(self, *, dry_run: bool = False, progress: Progress | None = None) -> Rotation:
        """Seal every record under the first key, and return what was done (dry_run: what would be done).

        It may run while the application runs. After an interruption, run it again.
        progress: gets the number of records checked so far. Raises StorageUnavailable.
        """
        rotation = maintenance.rotate_keys(self._core.ledger, dry_run=dry_run, progress=progress)
        if not dry_run:
            self._core.audit.note("keys_rotated")
        return rotation

    def key_usage(self) -> dict[str, int]:
        """Count the records under each key id. After `rotate_keys`, remove the keys that count none."""
        counted = maintenance.key_usage(self._core.ledger)
        return {**dict.fromkeys(self._core.ledger.key_ids, 0), **counted}

    def forget(self, user_id: UserId) -> int:
        """Remove all registrations of one of your users, with their credentials; return how many.

        For requests to erase personal data. It does not unregister the number with ChatArchitect.
        """
        whose = checked_user_id(user_id)
        count = maintenance.forget(self._core.ledger, whose)
        self._core.audit.note("forgotten", user_id=whose)
        return count

    def export(self, user_id: UserId) -> dict[str, Any]:
        """Return all that is stored of one of your users, as values that JSON knows, without `app_secret`.

        For requests to hand out personal data. Records that cannot be opened are named under "unreadable".
        Raises InvalidArgument, StorageUnavailable.
        """
        whose = checked_user_id(user_id)
        exported = export(self._core.ledger, whose)
        self._core.audit.note("exported", user_id=whose)
        return exported

    def purge_expired(self, older_than: timedelta, *, dry_run: bool = False) -> int:
        """Remove sessions that expired that long ago without a completion; return how many.

        Raises InvalidArgument for a negative time, which would take open sessions as well.
        """
        if older_than < timedelta():
            raise InvalidArgument("older_than must not be negative")
        return maintenance.purge_expired(
            self._core.ledger, older_than=older_than, now=self._core.clock(), dry_run=dry_run
        )
