"""What arguments with one or several values look like, and what is wrong with a secret among them."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST_SECRET = 16
_SEPARATORS = {",": "comma", ";": "semicolon"}  # that look right for several values, and are not


class Separated(list[str]):
    """The values of one environment variable, which white space has separated."""


def several(values: object) -> tuple[object, ...]:
    """Return the values of an argument that may hold none, one or several."""
    if values is None or values == "":
        return ()
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        return (values,)
    return tuple(values)


def wrong_separator(values: object, text: object) -> str | None:
    """Return the problem of a text that looks like several values with a comma or semicolon between them.

    One that comes from the environment must hold none at all. One that is given to Embed alone may hold one,
    unless each part is long enough for a secret. In a list it may be part of a value.
    """
    if not isinstance(text, str) or not isinstance(values, str | Separated):
        return None
    mark = next((name for sign, name in _SEPARATORS.items() if sign in text), None)
    parts = re.split("[,;]", text)
    if mark is None or (isinstance(values, str) and any(len(one.strip()) < SHORTEST_SECRET for one in parts)):
        return None
    return (
        f"holds a {mark}; several values are separated by white space in the environment, and are a list in "
        f"Python. If the {mark} is part of one value, give Embed a list with it"
    )


def problem_of_token(text: object) -> str | None:
    problem = problem_of_secret(text)
    if problem is None and isinstance(text, str) and (not text.isascii() or " " in text):
        return "holds characters that no token has; copy it anew"
    return problem


def problem_of_secret(text: object) -> str | None:
    if not isinstance(text, str):
        return "must be text"
    if not text.strip():
        return "is empty or blank"
    if text != text.strip():
        return "begins or ends with white space"
    if not text.isprintable():
        return "holds an invisible character"
    if len(text) < SHORTEST_SECRET:
        return f"is shorter than {SHORTEST_SECRET} characters"
    return None
