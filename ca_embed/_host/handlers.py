"""The host's `on_completed` handlers, by name. Each is called with a registration and its credentials."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ca_embed._host.calls import call_host, described
from ca_embed._host.error_hooks import ErrorHooks
from ca_embed._log import fields
from ca_embed._registration import Credentials, Registration
from ca_embed.errors import ConfigurationError

logger = logging.getLogger("ca_embed")

Handler = Callable[[Registration, Credentials], Awaitable[Any] | Any]


class Handlers:
    """Handlers by name. The name is stored with each run, so it should stay the same in later releases."""

    def __init__(self, error_hooks: ErrorHooks) -> None:
        """Start without handlers. error_hooks: hear of what a handler raises."""
        self._error_hooks = error_hooks
        self._by_name: dict[str, Handler] = {}
        # An adapter sets this where its framework's handlers need a context, as Flask's do.
        self.context: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order in which the handlers were added."""
        return tuple(self._by_name)

    def add(self, handler: Handler, name: str | None) -> None:
        """Add a handler under a name, by default its `module.qualname`. Raises ConfigurationError."""
        _require_handler(handler)
        name = name or _name_of(handler)
        if name in self._by_name:
            raise ConfigurationError([f"two on_completed handlers are named {name!r}; give one a name="])
        self._by_name[name] = handler

    def call(self, name: str, registration: Registration, credentials: Credentials) -> str | None:
        """Run one handler to its end. Return None, or the type and place of what it raised."""
        try:
            with self.context():
                call_host(self._by_name[name], registration, credentials)
        except KeyboardInterrupt:  # the operator ends the process
            raise
        except BaseException as error:  # noqa: BLE001 (the host may raise anything: gevent's Timeout, SystemExit)
            raised = described(error)
            logger.error(
                "handler reason=failed name=%s registration_id=%s raised=%s; reconcile() runs it again",
                name,
                registration.registration_id,
                raised,
                extra=fields("failed", registration.registration_id),
            )
            self._error_hooks.report(error, f"handler {name}", self.context)
            return raised
        return None


def _require_handler(handler: object) -> None:
    """Raise ConfigurationError now for a handler that could not be called later."""
    if not callable(handler):
        raise ConfigurationError(
            ['on_completed decorates a function; to name one, write @embed.on_completed(name="connect")']
        )
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        name = _name_of(handler)
        raise ConfigurationError([f"on_completed: {name} must take (registration, credentials)"]) from None
    except ValueError:  # a function written in C may have no signature to check
        return


def _name_of(handler: Handler) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    function_or_class = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{function_or_class.__module__}.{function_or_class.__qualname__}"
