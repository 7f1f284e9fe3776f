"""The host's `on_error` functions. Each is called with an exception of the host's own code."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ca_embed._host.calls import call_host, described
from ca_embed._log import fields
from ca_embed.errors import ConfigurationError

logger = logging.getLogger("ca_embed")

ErrorHook = Callable[[BaseException, str], Awaitable[Any] | Any]


class ErrorHooks:
    """The functions in the order in which they were added. What they raise is logged and goes no further."""

    def __init__(self) -> None:
        """Start without functions."""
        self._hooks: list[ErrorHook] = []

    def __bool__(self) -> bool:
        """Tell whether there is a function to call."""
        return bool(self._hooks)

    def add(self, hook: ErrorHook) -> None:
        """Add a function. Raises ConfigurationError for one that could not be called later."""
        if not callable(hook):
            raise ConfigurationError(["on_error decorates a function of (error, where)"])
        try:
            inspect.signature(hook).bind(None, None)
        except TypeError:
            raise ConfigurationError(["on_error: the function must take (error, where)"]) from None
        except ValueError:  # a function written in C may have no signature to check
            pass
        self._hooks.append(hook)

    def report(
        self,
        error: BaseException,
        where: str,
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        """Call each function in a thread that may block.

        where: what of the host's code raised, like "identify". context: what each call needs around it.
        """
        for hook in self._hooks:
            try:
                with context():
                    call_host(hook, error, where)
            except KeyboardInterrupt:  # the operator ends the process
                raise
            except BaseException as raised:  # noqa: BLE001 (the host may raise anything)
                place, extra = described(raised), fields("failed")
                logger.error("on_error reason=failed raised=%s; fix the function", place, extra=extra)
