"""The host's `on_completed` and `on_event` handlers, by name."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ca_embed._events import Event
from ca_embed._host.calls import call_host, described
from ca_embed._host.error_hooks import ErrorHooks
from ca_embed._log import fields
from ca_embed._registration import Credentials, Registration, State, shown_event
from ca_embed.errors import ConfigurationError

logger = logging.getLogger("ca_embed")

Handler = Callable[[Registration, Credentials], Awaitable[Any] | Any]
EventHandler = Callable[[Event], Awaitable[Any] | Any]


class Handlers:
    """Handlers by name. The name is stored with each run, so it should stay the same in later releases."""

    def __init__(self, error_hooks: ErrorHooks) -> None:
        """Start without handlers. error_hooks: hear of what a handler raises."""
        self._error_hooks = error_hooks
        self._by_name: dict[str, Handler] = {}
        self._by_event: dict[str, dict[str, EventHandler]] = {}  # by the event's name, then by their own
        # An adapter sets this where its framework's handlers need a context, as Flask's do.
        self.context: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the `on_completed` handlers, in the order in which they were added."""
        return tuple(self._by_name)

    @property
    def all_names(self) -> tuple[str, ...]:
        """The names of all handlers."""
        of_events = (name for handlers in self._by_event.values() for name in handlers)
        return tuple(dict.fromkeys([*self._by_name, *of_events]))

    def names_for(self, event: str) -> tuple[str, ...]:
        """Return the names of the handlers of an event type, in the order in which they were added."""
        return tuple(self._by_event.get(event, ()))

    def names_of(self, state: State) -> tuple[str, ...]:
        """Return the names of the handlers that get this registration or event."""
        return self.names if state.event is None else self.names_for(state.event.name)

    def add(self, handler: Handler, name: str | None) -> None:
        """Add a handler under a name, by default its `module.qualname`. Raises ConfigurationError."""
        _require_handler(handler, "on_completed", ("registration", "credentials"))
        name = name or _name_of(handler)
        if name in self._by_name:
            raise ConfigurationError([f"two on_completed handlers are named {name!r}; give one a name="])
        self._by_name[name] = handler

    def add_for(self, event: str, handler: EventHandler, name: str | None) -> None:
        """Add a handler for an event type. Raises ConfigurationError."""
        _require_handler(handler, "on_event", ("event",))
        handlers = self._by_event.setdefault(event, {})
        name = name or _name_of(handler)
        if name in handlers:
            raise ConfigurationError([f"two on_event handlers of {event!r} are named {name!r}"])
        handlers[name] = handler

    def call(self, name: str, state: State) -> str | None:
        """Run one handler to its end. Return None, or the type and place of what it raised."""
        registration_id = state.registration.registration_id
        try:
            with self.context():
                if state.event is not None:
                    call_host(self._by_event[state.event.name][name], shown_event(state))
                else:
                    call_host(self._by_name[name], state.registration, state.credentials)
        except KeyboardInterrupt:  # the operator ends the process
            raise
        except BaseException as error:  # noqa: BLE001 (the host may raise anything: gevent's Timeout, SystemExit)
            raised = described(error)
            logger.error(
                "handler reason=failed name=%s registration_id=%s raised=%s; reconcile() runs it again",
                name,
                registration_id,
                raised,
                extra=fields("failed", registration_id),
            )
            self._error_hooks.report(error, f"handler {name}", self.context)
            return raised
        return None


def _require_handler(handler: object, decorator: str, arguments: tuple[str, ...]) -> None:
    """Raise ConfigurationError now for a handler that could not be called later."""
    if not callable(handler):
        example = (
            '@embed.on_completed(name="connect")' if decorator == "on_completed" else '@embed.on_event("x")'
        )
        raise ConfigurationError([f"{decorator} decorates a function; write {example}"])
    try:
        inspect.signature(handler).bind(*arguments)
    except TypeError:
        name = _name_of(handler)
        raise ConfigurationError([f"{decorator}: {name} must take ({', '.join(arguments)})"]) from None
    except ValueError:  # a function written in C may have no signature to check
        return


def _name_of(handler: Callable[..., Any]) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    function_or_class = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{function_or_class.__module__}.{function_or_class.__qualname__}"
