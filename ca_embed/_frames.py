"""Clears the local variables of errors, because tools that report errors send them.

Such a tool reads the variables of every frame in an error's traceback. Some of our functions have a secret
in one: a token that is checked, a webhook's body, a record that was opened. So an error is cleared where
it leaves them. Its message and the lines of its traceback remain.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from ca_embed.errors import EmbedError

_P = ParamSpec("_P")
_T = TypeVar("_T")


def clears_locals(call: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorate a function that has a secret in a variable: what it raises shows no variable of it."""

    @functools.wraps(call)
    def cleared(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return call(*args, **kwargs)
        except BaseException as error:
            clear_locals(error)
            del args, kwargs  # these are variables too
            raise

    return cleared


def clear_locals(error: BaseException) -> None:
    """Clear the variables of our frames in an error's traceback, and of all frames below them.

    Frames that still run are left as they are. So are frames of the host that called us.
    """
    for one in _chain(error):
        trace = one.__traceback__
        while trace is not None and not _is_ours(trace.tb_frame.f_globals.get("__name__")):
            trace = trace.tb_next
        traceback.clear_frames(trace)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and its contexts. Cut off the contexts that are not shown.

    A JSONDecodeError, for example, has the whole text as an attribute.
    """
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        one = rest.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, EmbedError) and one.__suppress_context__:
            one.__context__ = None
        rest += [one.__cause__, one.__context__]


def _is_ours(module: object) -> bool:
    return str(module).startswith("ca_embed.")
