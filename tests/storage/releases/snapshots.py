"""Snapshots of what the storages of each release have stored, as text. Later releases must read them.

For a new release, run:

    python -m tests.storage.releases.snapshots 0.1.0

For each storage, one function writes a snapshot and one restores it.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import MetaData
from sqlalchemy.schema import CreateIndex, CreateTable

from ca_embed.storage import FilesystemStorage, RedisStorage, SQLAlchemyStorage, SQLiteStorage, add_table
from ca_embed.storage._sql.engines import engine_from_url
from ca_embed.testing._upgrade_contract import write_snapshot
from tests.storage.local_servers import MariaDBServer, PostgreSQLServer, RedisServer

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.iterdir() if path.name[0].isdigit())

_OURS = "ours_"  # the prefix of tables and keys


def dump_sqlite(path: Path) -> str:
    """Return a SQL script that creates the database."""
    with closing(sqlite3.connect(path)) as connection:
        pragmas = [
            f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
            for name in ("application_id", "user_version")
        ]
        return "\n".join([*pragmas, *connection.iterdump(), ""])


def restore_sqlite(release: str, path: Path) -> None:
    """Create the database of this release."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((HERE / release / "sqlite.sql").read_text())


def dump_files(folder: Path) -> str:
    """Return the files of a folder with their contents, as JSON."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return _to_json({str(path.relative_to(folder)): _to_text(path.read_bytes()) for path in files})


def restore_files(release: str, folder: Path) -> None:
    """Create the folder of this release."""
    for name, content in json.loads((HERE / release / "files.json").read_text()).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_from_text(content))


def dump_table(server: PostgreSQLServer | MariaDBServer) -> str:
    """Return a SQL script that creates the table and its rows."""
    table, dialect = add_table(MetaData(), _OURS), engine_from_url(server.url).dialect
    created = [
        CreateTable(table),
        *map(CreateIndex, sorted(table.indexes, key=lambda index: index.name or "")),
    ]
    script = [str(statement.compile(dialect=dialect)).strip() for statement in created]
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {_OURS}registrations ORDER BY registration_id".encode())
        rows = [", ".join(_to_literal(value, dialect.name) for value in row) for row in cursor.fetchall()]
    script += [f"INSERT INTO {_OURS}registrations VALUES ({row})" for row in rows]
    return ";\n".join(script) + "\n"


def restore_table(release: str, server: PostgreSQLServer | MariaDBServer, prefix: str) -> None:
    """Create the table of this release, with this prefix."""
    name = "postgresql.sql" if isinstance(server, PostgreSQLServer) else "mariadb.sql"
    script = (HERE / release / name).read_text().replace(_OURS, prefix)
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        for statement in script.split(";\n"):
            cursor.execute(statement.encode())


def dump_keys(server: RedisServer) -> str:
    """Return the commands that create the keys, as JSON."""
    with server.connect() as client:
        return _to_json([_command_for(client, key) for key in sorted(client.scan_iter(f"{_OURS}*"))])


def restore_keys(release: str, server: RedisServer, prefix: str) -> None:
    """Create the keys of this release, with this prefix."""
    with server.connect() as client:
        for command in json.loads((HERE / release / "redis.json").read_text()):
            client.execute_command(*(_from_text(word.replace(_OURS, prefix)) for word in command))


def _command_for(client: redis.Redis, key: bytes) -> list[str]:
    if client.type(key) == b"hash":
        command = ["HSET", key, *(word for field in sorted(client.hgetall(key).items()) for word in field)]
    else:
        command = ["ZADD", key, *(word for member in client.zrange(key, 0, -1) for word in ("0", member))]
    return [word if isinstance(word, str) else _to_text(word) for word in command]


def _to_literal(value: Any, dialect: str) -> str:
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'" if dialect == "postgresql" else f"x'{value.hex()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else repr(value)


def _to_text(content: bytes) -> str:
    return content.decode("latin-1")


def _from_text(text: str) -> bytes:
    return text.encode("latin-1")


def _to_json(content: object) -> str:
    return json.dumps(content, indent=1) + "\n"


def _write_all(release: str) -> None:
    folder = HERE / release
    folder.mkdir()
    with tempfile.TemporaryDirectory() as place:
        write_snapshot(SQLiteStorage(f"{place}/ca_embed.db"))
        (folder / "sqlite.sql").write_text(dump_sqlite(Path(place, "ca_embed.db")))
        write_snapshot(FilesystemStorage(f"{place}/files"))
        (folder / "files.json").write_text(dump_files(Path(place, "files")))
    for name, kind in (("postgresql.sql", PostgreSQLServer), ("mariadb.sql", MariaDBServer)):
        with kind.running() as server:
            write_snapshot(SQLAlchemyStorage(server.url, table_prefix=_OURS, create_table=True))
            (folder / name).write_text(dump_table(server))
    with RedisServer.running() as redis_server:
        write_snapshot(RedisStorage(redis_server.url, prefix=_OURS))
        (folder / "redis.json").write_text(dump_keys(redis_server))


if __name__ == "__main__":
    _write_all(sys.argv[1])
