"""What an endpoint may wait for, as values.

An endpoint is a generator function: it yields a step where I/O is needed, gets the result sent back (or
the error thrown in), and returns its response. So it reads from top to bottom, and neither threads nor
an event loop appear in it. `_drivers` takes the steps, in the caller's thread or on an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeAlias, TypeVar

from ca_embed._host.threads import Pool
from ca_embed._use_cases.handler_runner import Handover

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ReadBody:
    """Read the body of the request."""


@dataclass(frozen=True, slots=True)
class IdentifyUser:
    """Ask the host who is signed in."""


@dataclass(frozen=True, slots=True)
class IdentifyStaff:
    """Ask the host whether the visitor is of its staff."""


@dataclass(frozen=True, slots=True)
class Blocking:
    """Make a call that blocks. On an event loop it runs in a thread of `pool`; else in the caller's thread.

    optional: the endpoint can do without the call. In the caller's thread it then never waits for a place:
        it raises PartnerBusy. On an event loop this has no effect: the call waits for a thread of the pool,
        5 seconds at most.
    """

    pool: Pool
    call: Callable[[], Any]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class RunHandlers:
    """Run the handlers that this worker has claimed. Where there is an event loop, with a time limit."""

    handover: Handover


Step: TypeAlias = ReadBody | IdentifyUser | IdentifyStaff | Blocking | RunHandlers
Steps: TypeAlias = Generator[Step, Any, _T]


def read_body() -> Steps[bytes]:
    """Return the body. Raises UnreadableBody, BodyTooLarge."""
    body: bytes = yield ReadBody()
    return body


def identify() -> Steps[str]:
    """Return the id of the signed-in user. Raises NotSignedIn."""
    user_id: str = yield IdentifyUser()
    return user_id


def identify_staff() -> Steps[str]:
    """Return who of the staff asks, for the audit trail. Raises NotFound."""
    actor: str = yield IdentifyStaff()
    return actor


def blocking(pool: Pool, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Steps[_T]:
    """Return what a blocking call returns; raise what it raises."""
    result: _T = yield Blocking(pool, partial(call, *args, **kwargs))
    return result


def optional(pool: Pool, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Steps[_T]:
    """Make a blocking call that the endpoint can do without. See `Blocking`. Raises PartnerBusy."""
    result: _T = yield Blocking(pool, partial(call, *args, **kwargs), optional=True)
    return result
