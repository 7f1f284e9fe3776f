"""What the applications and the endpoints may use: the parts of an Embed, wired together once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ca_embed._config import Settings
from ca_embed._host.audit import Audit, AuditTrail
from ca_embed._host.error_hooks import ErrorHooks
from ca_embed._host.handlers import Handlers
from ca_embed._host.identify import Identify
from ca_embed._host.key_provider import KeyProvider, ProvidedKeys
from ca_embed._host.log_limit import LogLimit
from ca_embed._host.staff import Staff
from ca_embed._host.threads import Threads
from ca_embed._partner.breaker import Breaker
from ca_embed._partner.clients import PartnerClients
from ca_embed._use_cases.events import Events
from ca_embed._use_cases.handler_runner import HandlerRunner
from ca_embed._use_cases.questions import Questions
from ca_embed._use_cases.registrar import Registrar
from ca_embed._vault.health import Health
from ca_embed._vault.keyring import Keyring
from ca_embed._vault.ledger import Ledger
from ca_embed._vault.owner import Identity
from ca_embed._vault.session_limit import SessionLimit
from ca_embed._webhook import Verifier, token_id
from ca_embed.storage._base import Storage


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Core:
    """The parts of one Embed. All threads and event loops share them."""

    settings: Settings
    clock: Callable[[], float]
    identify: Identify | None
    staff: Staff | None
    verifier: Verifier
    threads: Threads
    error_hooks: ErrorHooks
    audit: AuditTrail
    handlers: Handlers
    breaker: Breaker
    clients: PartnerClients
    ledger: Ledger
    registrar: Registrar
    handler_runner: HandlerRunner
    questions: Questions
    events: Events
    session_limit: SessionLimit
    health: Health
    refusals: LogLimit

    def close(self) -> None:
        """Release connections, files and threads. The next use opens them again."""
        self.threads.close()
        self.clients.close()
        self.ledger.close()


class HasCore(Protocol):
    """An `Embed`, as modules below it see it."""

    @property
    def _core(self) -> Core: ...


def build_core(
    settings: Settings,
    storage: Storage,
    *,
    identify: Identify | None,
    staff: Staff | None,
    key_provider: KeyProvider | None,
    audit: Audit | None,
    clock: Callable[[], float],
    handlers_at_once: bool,
) -> Core:
    """Wire the parts together; open nothing yet."""
    error_hooks = ErrorHooks()
    handlers = Handlers(error_hooks)
    keys = ProvidedKeys(key_provider, settings.tokens, error_hooks) if key_provider else settings.keys
    clients = PartnerClients(settings.base_url, settings.tokens)
    breaker = Breaker(clock)
    ledger = Ledger(
        storage,
        Keyring(keys),
        clock,
        namespace=settings.namespace,
        identity=Identity(settings.public_url, tuple(token_id(token) for token in settings.tokens)),
    )
    registrar = Registrar(ledger, clients, handlers, clock, handlers_at_once=handlers_at_once)
    runner = HandlerRunner(ledger, handlers, clock)
    return Core(
        settings=settings,
        clock=clock,
        identify=identify,
        staff=staff,
        verifier=Verifier(settings.tokens, settings.replay_window),
        threads=Threads(),
        error_hooks=error_hooks,
        audit=AuditTrail(audit, error_hooks, clock),
        handlers=handlers,
        breaker=breaker,
        clients=clients,
        ledger=ledger,
        session_limit=ledger.session_limit(settings.session_limit),
        health=Health(ledger.probe),
        refusals=LogLimit(),
        registrar=registrar,
        handler_runner=runner,
        questions=Questions(ledger, clients, breaker, registrar, clock),
        events=Events(ledger, handlers, runner, clock, handlers_at_once=handlers_at_once),
    )
