"""The host's function that returns the encryption keys, for example from a key management service."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

from ca_embed._config import read_keys
from ca_embed._frames import clears_locals
from ca_embed._host.calls import call_host, described
from ca_embed._host.error_hooks import ErrorHooks
from ca_embed._host.fork_lock import ForkLock
from ca_embed._log import fields
from ca_embed.errors import ConfigurationError, KeysUnavailable

logger = logging.getLogger("ca_embed")

Keys = str | Sequence[str]
KeyProvider = Callable[[], Keys | Awaitable[Keys]]

_PATIENCE = 5.0  # seconds; a webhook must be answered within 10
_REST = 1.0  # seconds after a failure in which the function is not called again


class ProvidedKeys:
    """Calls the function once, at the first use, and keeps what it returned.

    provider: returns the keys as `encryption_keys` takes them. It may be asynchronous.
    tokens: the partner tokens, which no key may equal.
    """

    def __init__(self, provider: KeyProvider, tokens: Sequence[str], error_hooks: ErrorHooks) -> None:
        """Call nothing yet."""
        self._provider = provider
        self._tokens = tokens
        self._error_hooks = error_hooks
        self._lock = ForkLock()
        self._call: _Call | None = None

    @clears_locals
    def __call__(self) -> tuple[str, ...]:
        """Return the keys. Raises KeysUnavailable within 5 seconds if there are none.

        The function runs in a thread of its own, and all who need the keys wait for that one call. A later
        use calls again if it failed.
        """
        with self._lock:
            if self._call is None or self._call.may_be_repeated():
                self._call = _Call(self._ask)
            call = self._call
        return call.wait()

    @clears_locals
    def _ask(self) -> tuple[str, ...]:
        """Call the function and check what it returns."""
        try:
            given = call_host(self._provider)
        except BaseException as error:  # noqa: BLE001 (the host may raise anything)
            place, extra = described(error), fields("failed")
            logger.error("encryption_keys reason=failed raised=%s", place, extra=extra)
            self._error_hooks.report(error, "encryption_keys")
            raise KeysUnavailable(
                f"the function in encryption_keys raised {place}; check the key service and its permissions"
            ) from None
        try:
            return read_keys(given, self._tokens)
        except ConfigurationError as error:
            problems = "; ".join(error.problems)
            logger.error("encryption_keys reason=unusable (%s)", problems, extra=fields("unusable"))
            raise KeysUnavailable(
                f"the function in encryption_keys returned what cannot be used: {problems}"
            ) from None


class _Call:
    """One call of the function, in a thread of its own. Its own process alone waits for it."""

    def __init__(self, ask: Callable[[], tuple[str, ...]]) -> None:
        self._ask = ask
        self._process = os.getpid()
        self._ended = threading.Event()
        self._ended_at = 0.0
        self._keys: tuple[str, ...] | None = None
        self._message = "the function in encryption_keys has not returned yet; give it a time limit"
        try:
            threading.Thread(target=self._run, name="ca_embed keys", daemon=True).start()
        except RuntimeError:
            self._message = "no thread can be started to ask for the keys; try again"
            self._end()

    def may_be_repeated(self) -> bool:
        """Tell whether it has failed a while ago, or the thread of it is in another process."""
        if self._keys is not None:
            return False
        if not self._ended.is_set():
            return self._process != os.getpid()
        return time.monotonic() - self._ended_at >= _REST

    def wait(self) -> tuple[str, ...]:
        """Return the keys. Raises KeysUnavailable."""
        self._ended.wait(_PATIENCE)
        if self._keys is None:
            raise KeysUnavailable(self._message)
        return self._keys

    def _run(self) -> None:
        try:
            self._keys = self._ask()
        except KeysUnavailable as error:
            self._message = str(error)
        finally:
            self._end()

    def _end(self) -> None:
        self._ended_at = time.monotonic()
        self._ended.set()
