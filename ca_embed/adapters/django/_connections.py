"""Database connections around a run of a handler, also outside a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import close_old_connections, connections


@contextmanager
def fresh_connections() -> Iterator[None]:
    """Close old connections before the run, and afterwards those that it opened.

    Django does this around a request only, but a handler may run in any thread, for weeks.
    """
    close_old_connections()
    were_open = {id(one) for one in connections.all(initialized_only=True) if one.connection is not None}
    try:
        yield
    finally:
        for one in connections.all(initialized_only=True):
            if one.connection is not None and id(one) not in were_open:
                one.close()
