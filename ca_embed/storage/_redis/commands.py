"""What the Redis storage sends, and what the answers mean; no connection is made here.

Theory of operation
-------------------
    <prefix>record:<id>     a hash: version, user, due, document
    <prefix>ids             all ids
    <prefix>user:<user id>  the ids of one user
    <prefix>due             for each record that is due some time: 16 hex digits that sort as the time
                            does, and the id

The last three are sorted sets whose members all have the score 0, so that Redis sorts them by their
bytes, which is the order of code points. Each operation is one script, and a script is atomic.

Every operation begins by asking the server how it persists. So a server that is set to forget, be it
while the application runs, is refused before it gets anything; and one that does not answer gets
nothing either, which it might do when it is back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ca_embed.errors import ConfigurationError, StorageUnavailable
from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._index_keys import due_at_of, due_prefix

PREFIX = "ca_embed:"

Command = tuple[str | bytes | int, ...]

ASK_HOW_IT_PERSISTS: tuple[Command, ...] = (
    ("CONFIG GET", "*append*"),
    ("CONFIG GET", "maxmemory-policy"),
    ("INFO", "persistence"),
)
_REQUIRED = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
REWRITE_WAIT = 1.5  # seconds

# KEYS: the record, the ids, what is due. ARGV: the prefix of users' keys, the id, the version before,
# the new version, "1" and the new user or "0" and nothing, the new due prefix or nothing, the document.
# What needs memory comes first: once a script has written, Redis does not refuse it for want of memory.
_SAVE = """
local stored = redis.call('HMGET', KEYS[1], 'version', 'user', 'due')
if (stored[1] or '0') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[4], 'document', ARGV[8])
redis.call('ZADD', KEYS[2], 0, ARGV[2])
if stored[2] then redis.call('ZREM', ARGV[1] .. stored[2], ARGV[2]) end
if stored[3] then redis.call('ZREM', KEYS[3], stored[3] .. ARGV[2]) end
redis.call('HDEL', KEYS[1], 'user', 'due')
if ARGV[5] == '1' then
    redis.call('HSET', KEYS[1], 'user', ARGV[6])
    redis.call('ZADD', ARGV[1] .. ARGV[6], 0, ARGV[2])
end
if ARGV[7] ~= '' then
    redis.call('HSET', KEYS[1], 'due', ARGV[7])
    redis.call('ZADD', KEYS[3], 0, ARGV[7] .. ARGV[2])
end
return 1
"""
# KEYS: as above. ARGV: the prefix of users' keys, the id, the version.
_DELETE = """
local stored = redis.call('HMGET', KEYS[1], 'version', 'user', 'due')
if stored[1] ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
if stored[2] then redis.call('ZREM', ARGV[1] .. stored[2], ARGV[2]) end
if stored[3] then redis.call('ZREM', KEYS[3], stored[3] .. ARGV[2]) end
return 1
"""
# KEYS: the index. ARGV: the prefix of records' keys, the first and the last member, how many members,
# how many bytes stand before the id in a member.
_PAGE = """
local page = {}
for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])) do
    local id = string.sub(member, ARGV[5] + 1)
    page[#page + 1] = {id, redis.call('HMGET', ARGV[1] .. id, 'version', 'user', 'due', 'document')}
end
return page
"""
_FIELDS = ("version", "user", "due", "document")
_LAST = b"\xff"  # in no UTF-8, and after all of it

_Answer = Sequence[Any]


class RedisCommands:
    """The commands of each operation, and how their answers are read."""

    def __init__(self, prefix: str) -> None:
        """Raises ConfigurationError if the prefix is not made of printable ASCII without spaces."""
        if not re.fullmatch(r"[!-~]{1,64}", prefix):
            raise ConfigurationError(["the prefix of RedisStorage must be 1 to 64 visible ASCII characters"])
        start = prefix.encode()
        self._record = start + b"record:"
        self._user = start + b"user:"
        self._ids = start + b"ids"
        self._due = start + b"due"

    def load(self, registration_id: str) -> Command:
        """Return the command that gets one record."""
        return ("HMGET", self._record + registration_id.encode(), *_FIELDS)

    def save(self, record: SealedRecord) -> Command:
        """Return the command that compares and swaps."""
        return (
            *("EVAL", _SAVE, 3, *self._keys(record.registration_id)),
            *(self._user, record.registration_id.encode(), record.version - 1, record.version),
            *(("0", b"") if record.user_id is None else ("1", record.user_id.encode())),
            b"" if record.due_at is None else due_prefix(record.due_at).encode(),
            record.document,
        )

    def delete(self, registration_id: str, version: int) -> Command:
        """Return the command that compares and deletes."""
        keys = self._keys(registration_id)
        return ("EVAL", _DELETE, 3, *keys, self._user, registration_id.encode(), version)

    def due(self, by: float, limit: int, after: DueCursor | None) -> Command:
        """Return the command that gets a page of what is due."""
        first = f"({due_prefix(after.due_at)}{after.registration_id}".encode() if after else b"-"
        prefix = due_prefix(by).encode()
        return self._page(self._due, first, b"(" + prefix + _LAST, limit, len(prefix))

    def list(self, user_id: str | None, limit: int, after: str | None) -> Command:
        """Return the command that gets a page of all records, or of a user's."""
        index = self._ids if user_id is None else self._user + user_id.encode()
        return self._page(index, b"-" if after is None else b"(" + after.encode(), b"+", limit, 0)

    def _keys(self, registration_id: str) -> tuple[bytes, bytes, bytes]:
        return self._record + registration_id.encode(), self._ids, self._due

    def _page(self, index: bytes, first: bytes, last: bytes, limit: int, skipped: int) -> Command:
        return ("EVAL", _PAGE, 1, index, self._record, first, last, limit, skipped)


def one_record(registration_id: str, answer: _Answer) -> SealedRecord | None:
    """Read the answer of `load`."""
    return None if answer[0] is None else _record(registration_id, answer)


def page_of_records(answer: _Answer) -> list[SealedRecord]:
    """Read the answer of `due` and `list`."""
    return [_record(bytes(registration_id).decode(), fields) for registration_id, fields in answer]


def is_ready(answers: Sequence[Mapping[Any, Any]], *, waited: float) -> bool:
    """Tell whether the server may get an operation now. If not, ask again in a moment.

    answers: to ASK_HOW_IT_PERSISTS. waited: for so many seconds it has been asked. Raises
    StorageUnavailable unless the server writes to the disk before it answers, and drops nothing.
    """
    state = _merged(answers)
    wrong = [f"{name} {value}" for name, value in _REQUIRED.items() if state.get(name) != value]
    if wrong:
        raise StorageUnavailable(f"it may forget what it stored: set {', '.join(wrong)}")
    if not _is_rewriting(state):
        return True
    if waited > REWRITE_WAIT:
        raise StorageUnavailable("it is rewriting its append-only file: wait until it has finished")
    return False


def _is_rewriting(state: Mapping[Any, Any]) -> bool:
    """Tell whether the append-only file is being made anew.

    When it has just been turned on, a crash before the file is finished loses all that is written
    meanwhile; and the server does not tell this from one of the rewrites that it does now and then.
    """
    return bool(state.get("aof_rewrite_in_progress") or state.get("aof_rewrite_scheduled"))


def _merged(answers: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]:
    return {name: value for answer in answers for name, value in answer.items()}


def _record(registration_id: str, fields: _Answer) -> SealedRecord:
    version, user, due, document = fields
    return SealedRecord(
        registration_id,
        int(version or 0),  # a record that somebody has deleted behind our back: not one of ours
        None if user is None else bytes(user).decode(),
        None if due is None else due_at_of(bytes(due).decode()),
        bytes(document or b""),
    )
