"""Strict JSON (RFC 8259 and I-JSON, RFC 7493), for bodies from outside. Pure.

The standard parser accepts too much for credentials: UTF-16, repeated names, NaN, lone surrogates that
fail later, and nesting that overflows the stack. All of these are refused here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from functools import cache
from types import NoneType
from typing import Any, NoReturn

MAX_DEPTH = 32

_CONTAINERS = (dict, list)
_PLAIN = frozenset({str, bool, NoneType})
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class NotStrictJson(ValueError):
    """The bytes are not one strict JSON object. The message never quotes them."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that the UTF-8 bytes hold. Raises NotStrictJson."""
    value = _plain_object(body)
    return _any_object(body) if value is None else value


def _plain_object(body: bytes) -> dict[str, Any] | None:
    """Return the object if it is as almost all are: flat, of texts alone, without escapes. None: it is not.

    A fast parser reads it, which does not see that a name occurs twice. But in such a body, each quotation
    mark begins or ends a text. The object lacks one of two names that are equal, so it has too few texts.
    """
    if b"\\" in body:
        return None
    try:
        value = _fast_parser()(body)
    except (ValueError, RecursionError):
        return None
    if type(value) is not dict:
        return None
    kinds = [*map(type, value.values())]
    is_plain = _PLAIN.issuperset(kinds) and body.count(b'"') == 2 * (len(value) + kinds.count(str))
    return value if is_plain else None


def _any_object(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")  # given bytes, json.loads would also take UTF-16 and UTF-32
    except UnicodeDecodeError:
        raise NotStrictJson("it is not UTF-8") from None
    try:
        value = _DECODER.decode(text)
    except NotStrictJson:
        raise
    except (ValueError, RecursionError):
        raise NotStrictJson("it does not parse") from None
    if not isinstance(value, dict):
        raise NotStrictJson("it is not an object")
    _refuse_deep_nesting(value)
    if "\\" in text and _ESCAPED_SURROGATE.search(text):
        _refuse_lone_surrogates(value)
    return value


@cache
def _fast_parser() -> Callable[[bytes], Any]:
    """Return msgspec's parser if it is installed, else the standard library's. Both refuse bad UTF-8."""
    try:
        from msgspec.json import Decoder
    except ImportError:
        return _standard_parser
    return Decoder().decode


def _standard_parser(body: bytes) -> Any:
    text = body.decode()
    value, end = _STANDARD.raw_decode(text)
    if end != len(text):
        raise ValueError("more follows")
    return value


def is_unicode(text: str) -> bool:
    """Tell whether the text can be encoded: a Python text may hold half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_deep_nesting(value: dict[str, Any]) -> None:
    """Walk down level by level: recursion here could overflow the stack as well."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [member for members in level for member in _members(members) if type(member) in _CONTAINERS]
        if not level:
            return
    raise NotStrictJson(f"it is nested deeper than {MAX_DEPTH} levels")


def _members(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _refuse_lone_surrogates(value: object) -> None:
    if not is_unicode(json.dumps(value, ensure_ascii=False)):
        raise NotStrictJson("it holds half of a surrogate pair")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJson("a name occurs twice in one object")
    return members


def _constant(_name: str) -> NoReturn:
    raise NotStrictJson("NaN and Infinity are not JSON")


def _finite(digits: str) -> float:
    number = float(digits)  # for 1e999, infinity
    if not math.isfinite(number):
        raise NotStrictJson("a number is too large")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite)
_STANDARD = json.JSONDecoder()
