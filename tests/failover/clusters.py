"""Clusters of database servers on this machine, whose primary is killed and replaced."""

from __future__ import annotations

import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

import psycopg
from redis.sentinel import Sentinel

from ca_embed.storage import RedisStorage, SQLAlchemyStorage, Storage
from tests.storage.local_servers import (
    PASSWORD,
    PATIENCE,
    LocalServer,
    MariaDBServer,
    PostgreSQLServer,
    RedisServer,
    _free_port,
    _required,
)


class Address:
    """A TCP address that leads to the primary, as that of a proxy or a moving IP does."""

    def __init__(self, target: int) -> None:
        """Listen on a free port, and forward to the port `target`."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._target: int | None = target
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, target: int | None) -> None:
        """Cut all connections, and lead new ones to another port, or to none."""
        with self._lock:
            self._target, cut = target, list(self._open)
        for one in cut:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening, and cut all connections."""
        self.lead_to(None)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            with self._lock:
                target = self._target
            if target is None:
                return
            try:
                server = socket.create_connection(("127.0.0.1", target), timeout=2)
            except OSError:
                return
            server.settimeout(None)
            with server:
                with self._lock:
                    if self._target != target:
                        return
                    self._open |= {client, server}
                back = threading.Thread(target=_forward, args=(server, client), daemon=True)
                back.start()
                _forward(client, server)
                back.join()
                with self._lock:
                    self._open -= {client, server}


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


class Cluster(ABC):
    """Servers of which one is the primary."""

    @classmethod
    @contextmanager
    @abstractmethod
    def running(cls) -> Iterator[Self]:
        """Run the cluster for the length of the block."""
        raise NotImplementedError

    @abstractmethod
    def open_storage(self) -> Storage:
        """Open a storage that finds the primary."""

    @abstractmethod
    def fail_over(self) -> None:
        """Kill the primary, and let another server take its place."""


def _wait(true: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        with suppress(Exception):
            if true():
                return
        if time.monotonic() > give_up:
            raise TimeoutError("the cluster is not ready")
        time.sleep(0.05)


# --- PostgreSQL ----------------------------------------------------------------------------------


class _Standby(PostgreSQLServer):
    """A copy of another server that follows it."""

    primary: ClassVar[PostgreSQLServer]

    @classmethod
    def of(cls, primary: PostgreSQLServer) -> _Standby:
        """Copy the primary, start the copy, and wait until commits wait for it."""
        kind: type[_Standby] = type("Standby", (cls,), {"primary": primary})
        server = kind()
        server.set_up()
        server.start()
        _wait(lambda: _query(primary, "SELECT sync_state FROM pg_stat_replication") in ("sync", "quorum"))
        return server

    def set_up(self) -> None:
        source = self.primary.url.replace("+psycopg", "")
        copy = (
            "--pgdata=data",
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        )
        self.run(_required("pg_basebackup"), f"--dbname={source}", *copy)


class PostgreSQLCluster(Cluster):
    """PostgreSQL with a synchronous standby, which is promoted with `pg_promote`."""

    def __init__(self, primary: PostgreSQLServer) -> None:
        """Take a running server. Commits wait for a standby from now on."""
        self._primary = primary
        with primary.connect() as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        self._standby = _Standby.of(primary)
        self._address = Address(primary.port)
        self._killed: list[LocalServer] = [self._standby]

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Run the cluster for the length of the block."""
        with PostgreSQLServer.running() as first:
            storage = SQLAlchemyStorage(first.url)
            storage.create_table()
            storage.close()
            cluster = cls(first)
            try:
                yield cluster
            finally:
                cluster._close()

    def open_storage(self) -> Storage:
        """Open a storage at the address that moves."""
        url = self._primary.url.replace(f":{self._primary.port}/", f":{self._address.port}/")
        return SQLAlchemyStorage(url)

    def fail_over(self) -> None:
        """Kill the primary, promote the standby, and copy a new one from it."""
        self._primary.kill()
        self._primary = self._standby
        _query(self._primary, "SELECT pg_promote()")
        self._address.lead_to(self._primary.port)
        self._standby = _Standby.of(self._primary)
        self._killed.append(self._standby)

    def _close(self) -> None:
        self._address.close()
        _remove(self._killed)


def _query(server: PostgreSQLServer, query: str) -> Any:
    with psycopg.connect(
        server.url.replace("+psycopg", ""), autocommit=True, connect_timeout=2
    ) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


# --- Redis Sentinel ------------------------------------------------------------------------------


class _RedisNode(RedisServer):
    """A Redis server that can be a replica of another."""

    replica_of: int | None = None

    def command(self) -> list[str]:
        more = ["--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"]
        if self.replica_of is not None:
            more += ["--replicaof", f"127.0.0.1 {self.replica_of}"]
        return [*super().command(), "--dir", str(self.folder), *more]


class _SentinelServer(LocalServer):
    """One Sentinel, which watches the primary."""

    package, program = "redis-server", "redis-server"
    watches: ClassVar[int]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def set_up(self) -> None:
        lines = f"""
            bind 127.0.0.1
            port {self.port}
            sentinel monitor ca_embed 127.0.0.1 {self.watches} 2
            sentinel auth-pass ca_embed {PASSWORD}
            sentinel down-after-milliseconds ca_embed 600
            sentinel failover-timeout ca_embed 4000
        """
        self.write("sentinel.conf", "\n".join(line.strip() for line in lines.splitlines()))

    def command(self) -> list[str]:
        return [_required("redis-server"), str(self.folder / "sentinel.conf"), "--sentinel"]

    def ping(self) -> None:
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()


class RedisCluster(Cluster):
    """Redis with two replicas and three Sentinels, which promote a replica."""

    def __init__(self) -> None:
        """Start everything."""
        self._nodes = [_RedisNode() for _ in range(3)]
        for node in self._nodes:
            node.replica_of = None if node is self._nodes[0] else self._nodes[0].port
            node.start()
        kind = type("WatchingSentinel", (_SentinelServer,), {"watches": self._nodes[0].port})
        self._sentinels: list[LocalServer] = [kind() for _ in range(3)]
        for sentinel in self._sentinels:
            sentinel.set_up()
            sentinel.start()
        self._finder = Sentinel(
            [("127.0.0.1", one.port) for one in self._sentinels], socket_timeout=1, socket_connect_timeout=1
        )
        _wait(self._is_ready)

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Run the cluster for the length of the block."""
        cluster = cls()
        try:
            yield cluster
        finally:
            _remove([*cluster._sentinels, *cluster._nodes])

    def open_storage(self) -> Storage:
        """Open a storage with a client that asks the Sentinels for the primary."""
        client = self._finder.master_for(
            "ca_embed", password=PASSWORD, socket_timeout=2, socket_connect_timeout=1
        )
        return RedisStorage(client)

    def fail_over(self) -> None:
        """Kill the primary; the Sentinels promote a replica. Then start the old one again, as a replica."""
        _wait(self._is_ready)
        port = self._primary_port()
        (killed,) = [node for node in self._nodes if node.port == port]
        killed.kill()
        _wait(lambda: self._primary_port() != port)
        killed.replica_of = self._primary_port()
        killed.start()

    def _primary_port(self) -> int:
        return int(self._finder.discover_master("ca_embed")[1])

    def _is_ready(self) -> bool:
        return len(self._finder.discover_slaves("ca_embed")) == 2 and self._others_are_known()

    def _others_are_known(self) -> bool:
        states = [one.sentinel_masters()["ca_embed"] for one in self._finder.sentinels]
        return all(state["num-other-sentinels"] == 2 for state in states)


# --- MariaDB Galera ------------------------------------------------------------------------------

_PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")


class _GaleraNode(MariaDBServer):
    """One node of a Galera cluster."""

    def __init__(self) -> None:
        """Choose the ports of the node."""
        super().__init__()
        self.group_port, self._ist_port, self._sst_port = _free_port(), _free_port(), _free_port()
        self.joins: list[_GaleraNode] = []

    def command(self) -> list[str]:
        others = ",".join(f"127.0.0.1:{node.group_port}" for node in self.joins)
        provider = {
            "gmcast.listen_addr": f"tcp://127.0.0.1:{self.group_port}",
            "ist.recv_addr": f"127.0.0.1:{self._ist_port}",
            "evs.keepalive_period": "PT0.5S",
            "evs.suspect_timeout": "PT2S",
            "evs.inactive_timeout": "PT4S",
            "gcache.size": "32M",
        }
        settings = {
            "wsrep-on": "ON",
            "wsrep-provider": _PROVIDER,
            "wsrep-cluster-name": "ca_embed",
            "wsrep-cluster-address": f"gcomm://{others}",
            "wsrep-provider-options": ";".join(f"{name}={value}" for name, value in provider.items()),
            "wsrep-node-address": f"127.0.0.1:{self.group_port}",
            "wsrep-sst-method": "rsync",
            "wsrep-sst-receive-address": f"127.0.0.1:{self._sst_port}",
            "binlog-format": "ROW",
            "innodb-autoinc-lock-mode": "2",
        }
        return [*super().command(), *(f"--{name}={value}" for name, value in settings.items())]

    def ping(self) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'wsrep_ready'")
            if cursor.fetchone() != ("wsrep_ready", "ON"):
                raise OSError("the node is not ready")


class GaleraCluster(Cluster):
    """MariaDB Galera with three nodes, of which the address leads to one."""

    def __init__(self) -> None:
        """Start three nodes, the first of which begins the cluster."""
        self._nodes = [_GaleraNode() for _ in range(3)]
        self._at = 0
        for number, node in enumerate(self._nodes):
            node.joins = self._nodes[:number]
            node.set_up()
            node.start()
        for node in self._nodes:
            node.joins = [other for other in self._nodes if other is not node]
        self._address = Address(self._nodes[0].port)
        storage = SQLAlchemyStorage(self._nodes[0].url)
        storage.create_table()
        storage.close()

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Run the cluster for the length of the block."""
        cluster = cls()
        try:
            yield cluster
        finally:
            cluster._address.close()
            _remove(list(cluster._nodes))

    def open_storage(self) -> Storage:
        """Open a storage at the address that moves."""
        node = self._nodes[0]
        return SQLAlchemyStorage(node.url.replace(f":{node.port}/", f":{self._address.port}/"))

    def fail_over(self) -> None:
        """Kill the node that the address leads to, lead it to the next, and let the killed one join again."""
        killed = self._nodes[self._at]
        killed.kill()
        self._at = (self._at + 1) % len(self._nodes)
        self._address.lead_to(self._nodes[self._at].port)
        _wait(lambda: self._nodes[self._at].ping() is None)
        killed.start()


def _remove(servers: list[LocalServer]) -> None:
    for server in servers:
        server.remove()
