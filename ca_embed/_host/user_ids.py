"""What a user id of the host may be. Pure."""

from __future__ import annotations

from typing import TypeGuard
from uuid import UUID

UserId = str | int | UUID

_LONGEST_USER_ID = 255


def is_user_id(user_id: object) -> TypeGuard[str]:
    """Tell whether this can be a stored user id: text of 1 to 255 printable characters."""
    return isinstance(user_id, str) and 0 < len(user_id) <= _LONGEST_USER_ID and user_id.isprintable()


def user_id_of(value: object) -> str:
    """Return a user's id as text. One rule for what `identify` returns and for what Python calls pass.

    Raises TypeError or ValueError. The message says what is wrong, never the value.
    """
    if not isinstance(value, str | int | UUID) or isinstance(value, bool):
        raise TypeError(f"a user id is text, an integer or a UUID, not {type(value).__name__}")
    user_id = str.__str__(value) if isinstance(value, str) else _digits(value)
    if not is_user_id(user_id):
        raise ValueError(f"a user id has 1 to {_LONGEST_USER_ID} characters, all printable")
    return user_id


def _digits(value: int | UUID) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to write an integer of thousands of digits
        return ""
