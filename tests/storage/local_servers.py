"""Database servers that the tests start, each in a temporary folder and on a free loopback port.

Each server writes durably. If the tests run as root, it runs as the user `nobody`. It ends with the tests.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Self

import psycopg
import pymysql
import pytest
import redis

PASSWORD = "fake-database-password"
PATIENCE = 60.0  # seconds for a server to start, also on a busy machine


class LocalServer(ABC):
    """One server process and its folder."""

    package: ClassVar[str]
    program: ClassVar[str]

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ca_embed-"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._own(self.folder)

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Set up a server and start it. At the end, stop it and remove its folder."""
        if _find(cls.program) is None:
            pytest.skip(f"needs {cls.program}: apt-get install {cls.package}")
        server = cls()
        try:
            server.set_up()
            server.start()
            yield server
        finally:
            server.remove()

    def remove(self) -> None:
        """Kill the server, and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder)

    @property
    @abstractmethod
    def url(self) -> str:
        """The storage URL."""

    @abstractmethod
    def set_up(self) -> None:
        """Prepare the folder."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""

    @abstractmethod
    def ping(self) -> None:
        """Raise an exception unless the server answers."""

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **_unprivileged(),
            )
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return self.ping()
            except Exception as error:
                if time.monotonic() > give_up or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from error
                time.sleep(0.02)

    def kill(self) -> None:
        """Kill -9 the server with all its processes."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the server process for the length of the block: it neither answers nor closes connections."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Kill the server, and start it again afterwards."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def run(self, *command: str | Path) -> None:
        """Run a tool as the server's user."""
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False, **_unprivileged())
        assert done.returncode == 0, done.stderr.decode()

    def write(self, name: str, text: str) -> Path:
        """Write a file that the server may read."""
        path = self.folder / name
        path.write_text(text)
        self._own(path)
        return path

    def _signal(self, number: signal.Signals) -> None:
        """Signal the server and its children. Each PostgreSQL process has its own process group."""
        assert self._process is not None
        for pid in [self._process.pid, *_children(self._process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(path, nobody.pw_uid, nobody.pw_gid)


class PostgreSQLServer(LocalServer):
    """PostgreSQL, with a default collation that is not the order of code points."""

    package, program = "postgresql", "postgres"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://ca_embed:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def set_up(self) -> None:
        password = self.write("password", PASSWORD)
        collation = ("--locale-provider=icu", "--icu-locale=en-US", "--encoding=UTF8", "--locale=C")
        access = ("--username=ca_embed", "--auth=scram-sha-256", f"--pwfile={password}")
        self.run(_required("initdb"), "--pgdata=data", "--no-sync", *collation, *access)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "32MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [_required("postgres"), "-D", "data", *options]

    def connect(self) -> psycopg.Connection:
        """Connect as the owner of the server, without the storage."""
        url = self.url.replace("+psycopg", "")
        return psycopg.connect(url, autocommit=True, connect_timeout=2)

    def ping(self) -> None:
        self.connect().close()


class PgBouncer(LocalServer):
    """pgBouncer in transaction mode, with three connections to a PostgreSQL server."""

    package, program = "pgbouncer", "pgbouncer"
    behind: ClassVar[PostgreSQLServer]

    @classmethod
    @contextmanager
    def before(cls, server: PostgreSQLServer) -> Iterator[Self]:
        """Run pgBouncer before this server."""
        with type(cls.__name__, (cls,), {"behind": server}).running() as bouncer:
            yield bouncer

    @property
    def url(self) -> str:
        return self.behind.url.replace(f":{self.behind.port}/", f":{self.port}/")

    def set_up(self) -> None:
        users = self.write("users", f'"ca_embed" "{PASSWORD}"\n')
        self.write(
            "pgbouncer.ini",
            f"""
            [databases]
            postgres = host=127.0.0.1 port={self.behind.port} user=ca_embed password={PASSWORD}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {self.port}
            unix_socket_dir =
            auth_type = scram-sha-256
            auth_file = {users}
            pool_mode = transaction
            default_pool_size = 3
            max_client_conn = 200
            """.replace("            ", ""),
        )

    def command(self) -> list[str]:
        return [_required("pgbouncer"), str(self.folder / "pgbouncer.ini")]

    def ping(self) -> None:
        url = self.url.replace("+psycopg", "")
        psycopg.connect(url, connect_timeout=2, prepare_threshold=None).close()


class MariaDBServer(LocalServer):
    """MariaDB."""

    package, program = "mariadb-server", "mariadbd"
    buffer_pool: ClassVar = "32M"

    @property
    def url(self) -> str:
        return f"mysql+pymysql://ca_embed:{PASSWORD}@127.0.0.1:{self.port}/ca_embed"

    def set_up(self) -> None:
        self.write(
            "start.sql",
            "CREATE DATABASE IF NOT EXISTS ca_embed;\n"
            f"CREATE USER IF NOT EXISTS ca_embed IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO ca_embed;\n",
        )
        self.install(f"--datadir={self.folder / 'data'}")

    def install(self, datadir: str) -> None:
        """Create the system tables of the server."""
        self.run(_required("mariadb-install-db"), "--no-defaults", datadir, "--skip-test-db")

    def command(self) -> list[str]:
        settings = {
            "datadir": self.folder / "data",
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "init-file": self.folder / "start.sql",
            "bind-address": "127.0.0.1",
            "port": self.port,
            "innodb-buffer-pool-size": self.buffer_pool,
        }
        return [
            _required(self.program),
            "--no-defaults",
            *(f"--{name}={value}" for name, value in settings.items()),
        ]

    def connect(self) -> pymysql.Connection:
        """Connect past the storage."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="ca_embed", password=PASSWORD, database="ca_embed",
            autocommit=True, connect_timeout=2, read_timeout=30, ssl_disabled=True,
        )  # fmt: skip

    def ping(self) -> None:
        self.connect().close()


class MySQLServer(MariaDBServer):
    """MySQL. It is tested instead of MariaDB if CA_EMBED_TEST_MYSQLD is the path of its mysqld."""

    package, program = "mysql-server", os.environ.get("CA_EMBED_TEST_MYSQLD", "mysqld")

    def install(self, datadir: str) -> None:
        """Create the system tables of the server."""
        self.run(_required(self.program), "--no-defaults", "--initialize-insecure", datadir)

    def command(self) -> list[str]:
        return [*super().command(), "--mysqlx=OFF", "--secure-file-priv="]


class RedisServer(LocalServer):
    """Redis, with the settings that `RedisStorage` needs."""

    package, program = "redis-server", "redis-server"

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def set_up(self) -> None:
        """There is nothing to prepare."""

    def command(self) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": PASSWORD,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        return [
            _required("redis-server"),
            *(word for pair in settings.items() for word in (f"--{pair[0]}", pair[1])),
        ]

    def connect(self) -> redis.Redis:
        """Connect past the storage."""
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def ping(self) -> None:
        with self.connect() as client:
            client.ping()


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True, text=True)
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def _required(program: str) -> str:
    path = _find(program)
    assert path is not None, program
    return path


def _find(program: str) -> str | None:
    """Return the path of a program. Debian keeps PostgreSQL outside PATH, in one folder for each version."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    places = [*map(str, reversed(versions)), os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"]
    return shutil.which(program, path=os.pathsep.join(places))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged() -> dict[str, object]:
    """Return the arguments that start a process as the user `nobody`: databases refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
