"""The commands of the Redis storage, and the meaning of the replies. This module opens no connection.

How it works
------------
    <prefix>record:<id>     a hash: version, user, due, document
    <prefix>ids             all ids
    <prefix>user:<user id>  the ids of one user
    <prefix>due             for each record with a due time: 16 hex digits that sort as the time does,
                            then the id

The last three are sorted sets. All members have the score 0, so Redis sorts them by their bytes, which is
the order of code points. Each operation is one script, and Redis runs a script atomically.

Each operation first asks the server for its persistence settings. A server that may lose writes is refused
before it receives a write, also if its settings change while the application runs. A server that does not
answer receives no write either: it could otherwise do the write later, after the caller got an error.
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

PERSISTENCE_QUERIES: tuple[Command, ...] = (
    ("CONFIG GET", "*append*"),
    ("CONFIG GET", "maxmemory-policy"),
    ("INFO", "persistence"),
    ("INFO", "cluster"),
)
CLUSTER = "it is part of a Redis Cluster: use a single Redis server (cluster-enabled no)"
_REQUIRED = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
_REWRITE_WAIT = 1.5  # seconds

# KEYS: the record, the ids, the due index. ARGV: the prefix of users' keys, the id, the expected version,
# the new version, "1" and the new user or "0" and "", the new due prefix or "", the document.
# A command that needs memory comes first. Redis refuses it when memory is full, but never stops a script
# that has already written.
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
# KEYS: the record, the ids, the due index. ARGV: the prefix of users' keys, the id, the expected version.
_DELETE = """
local stored = redis.call('HMGET', KEYS[1], 'version', 'user', 'due')
if stored[1] ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
if stored[2] then redis.call('ZREM', ARGV[1] .. stored[2], ARGV[2]) end
if stored[3] then redis.call('ZREM', KEYS[3], stored[3] .. ARGV[2]) end
return 1
"""
# KEYS: the index. ARGV: the prefix of records' keys, the first and the last member, the number of members,
# the number of bytes before the id in a member.
_PAGE = """
local page = {}
for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])) do
    local id = string.sub(member, ARGV[5] + 1)
    page[#page + 1] = {id, redis.call('HMGET', ARGV[1] .. id, 'version', 'user', 'due', 'document')}
end
return page
"""
_FIELDS = ("version", "user", "due", "document")
_LAST = b"\xff"  # never in UTF-8, and greater than all its bytes

_Reply = Sequence[Any]


class RedisCommands:
    """The commands of each operation, for one prefix of keys."""

    def __init__(self, prefix: str) -> None:
        """Keep the prefix. Raises ConfigurationError unless it is 1 to 64 visible ASCII characters."""
        if not re.fullmatch(r"[!-~]{1,64}", prefix):
            raise ConfigurationError(["the prefix of RedisStorage must be 1 to 64 visible ASCII characters"])
        start = prefix.encode()
        self._record = start + b"record:"
        self._user = start + b"user:"
        self._ids = start + b"ids"
        self._due = start + b"due"

    def load(self, registration_id: str) -> Command:
        """Return the command that reads one record. `one_record` reads the reply."""
        return ("HMGET", self._record + registration_id.encode(), *_FIELDS)

    def save(self, record: SealedRecord) -> Command:
        """Return the command that stores the record if the version fits. The reply is then 1."""
        return (
            *("EVAL", _SAVE, 3, *self._keys(record.registration_id)),
            *(self._user, record.registration_id.encode(), record.version - 1, record.version),
            *(("0", b"") if record.user_id is None else ("1", record.user_id.encode())),
            b"" if record.due_at is None else due_prefix(record.due_at).encode(),
            record.document,
        )

    def delete(self, registration_id: str, version: int) -> Command:
        """Return the command that deletes the record if the version fits. The reply is then 1."""
        keys = self._keys(registration_id)
        return ("EVAL", _DELETE, 3, *keys, self._user, registration_id.encode(), version)

    def due(self, by: float, limit: int, after: DueCursor | None) -> Command:
        """Return the command that reads a page of due records. `page_of_records` reads the reply."""
        first = f"({due_prefix(after.due_at)}{after.registration_id}".encode() if after else b"-"
        prefix = due_prefix(by).encode()
        return self._page(self._due, first, b"(" + prefix + _LAST, limit, len(prefix))

    def list(self, user_id: str | None, limit: int, after: str | None) -> Command:
        """Return the command that reads a page of records. `page_of_records` reads the reply."""
        index = self._ids if user_id is None else self._user + user_id.encode()
        return self._page(index, b"-" if after is None else b"(" + after.encode(), b"+", limit, 0)

    def _keys(self, registration_id: str) -> tuple[bytes, bytes, bytes]:
        return self._record + registration_id.encode(), self._ids, self._due

    def _page(self, index: bytes, first: bytes, last: bytes, limit: int, skipped: int) -> Command:
        return ("EVAL", _PAGE, 1, index, self._record, first, last, limit, skipped)


def one_record(registration_id: str, reply: _Reply) -> SealedRecord | None:
    """Return the record in the reply to `load`, or None if there is none."""
    return None if reply[0] is None else _record(registration_id, reply)


def page_of_records(reply: _Reply) -> list[SealedRecord]:
    """Return the records in the reply to `due` or `list`."""
    return [_record(bytes(registration_id).decode(), fields) for registration_id, fields in reply]


def is_ready(replies: Sequence[Mapping[Any, Any]], *, waited: float) -> bool:
    """Return True if the server may receive an operation now. If False, send the queries again soon.

    replies: the replies to PERSISTENCE_QUERIES.
    waited: how long the queries have been repeated, in seconds.

    Raises StorageUnavailable if the settings of the server allow it to lose writes, or if it is part of a
    Redis Cluster, which would spread the keys of one record over several servers.
    """
    state = _merged(replies)
    if state.get("cluster_enabled"):
        raise StorageUnavailable(CLUSTER)
    wrong = [f"{name} {value}" for name, value in _REQUIRED.items() if state.get(name) != value]
    if wrong:
        raise StorageUnavailable(f"it may forget what it stored: set {', '.join(wrong)}")
    if not _is_rewriting(state):
        return True
    if waited > _REWRITE_WAIT:
        raise StorageUnavailable("it is rewriting its append-only file: wait until it has finished")
    return False


def _is_rewriting(state: Mapping[Any, Any]) -> bool:
    """Return True if the server is rewriting its append-only file.

    If the file has just been turned on, a crash before the rewrite ends loses all writes made meanwhile.
    The server does not show whether this is the first rewrite or a later, harmless one.
    """
    return bool(state.get("aof_rewrite_in_progress") or state.get("aof_rewrite_scheduled"))


def _merged(replies: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]:
    return {name: value for reply in replies for name, value in reply.items()}


def _record(registration_id: str, fields: _Reply) -> SealedRecord:
    version, user, due, document = fields
    return SealedRecord(
        registration_id,
        int(version or 0),  # another program has deleted it: version 0 means unreadable
        None if user is None else bytes(user).decode(),
        None if due is None else due_at_of(bytes(due).decode()),
        bytes(document or b""),
    )
