"""Records a long history of each storage under faults, and writes the figures into docs/reliability.md.

python -m tests.history.soak [CALLS] [STORAGE ...]
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ca_embed.storage import FilesystemStorage, MemoryStorage, RedisStorage, SQLAlchemyStorage, SQLiteStorage
from ca_embed.testing import Fault, HistoryReport, record_history
from ca_embed.testing._storage_processes import OpenStorage
from tests.crash.power_loss import STORAGES as ON_DISK
from tests.crash.power_loss import cut_everywhere_in_memory
from tests.history.in_threads import record_threads
from tests.history.mutants import MUTANTS
from tests.storage.history_faults import cut_mariadb, cut_postgresql, cut_redis, server_faults
from tests.storage.local_servers import MariaDBServer, PostgreSQLServer, RedisServer
from tools.reliability import table, write_section

CALLS = 100_000
_DISK = 256  # megabytes

Opened = tuple[OpenStorage, Sequence[Fault]]


@contextmanager
def _small_disk() -> Iterator[tuple[Path, Sequence[Fault]]]:
    """A folder on a disk that can be filled, if this user may mount one; else any folder, and no fault."""
    with TemporaryDirectory(prefix="ca_embed-soak-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}m,mode=0755", "tmpfs", folder]
        if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
            yield Path(folder), ()
            return
        try:
            yield Path(folder), [Fault("disk full", partial(_filled, Path(folder) / "ballast"))]
        finally:
            subprocess.run(["umount", folder], check=True)


@contextmanager
def _filled(ballast: Path) -> Iterator[None]:
    """Fill the disk for the length of the block."""
    try:
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
        yield
    finally:
        ballast.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def _sqlite() -> Iterator[Opened]:
    with _small_disk() as (folder, faults):
        path = folder / "r.db"
        yield partial(SQLiteStorage, path), [Fault("locked", partial(_locked, path)), *faults]


@contextmanager
def _files() -> Iterator[Opened]:
    with _small_disk() as (folder, faults):
        yield partial(FilesystemStorage, folder / "records"), faults


@contextmanager
def _postgresql() -> Iterator[Opened]:
    with PostgreSQLServer.running() as server:
        opened = partial(SQLAlchemyStorage, server.url, create_table=True)
        yield opened, server_faults(server, partial(cut_postgresql, server))


@contextmanager
def _mariadb() -> Iterator[Opened]:
    with MariaDBServer.running() as server:
        opened = partial(SQLAlchemyStorage, server.url, create_table=True)
        yield opened, server_faults(server, partial(cut_mariadb, server))


@contextmanager
def _redis() -> Iterator[Opened]:
    with RedisServer.running() as server:
        yield partial(RedisStorage, server.url), server_faults(server, partial(cut_redis, server))


STORAGES = {
    "SQLite": _sqlite,
    "files": _files,
    "Redis": _redis,
    "PostgreSQL": _postgresql,
    "MariaDB": _mariadb,
}


def soak(name: str, calls: int) -> tuple[HistoryReport, Sequence[str]]:
    """Record a history of one storage. Return what was found, and the names of the faults."""
    with TemporaryDirectory(prefix="ca_embed-history-") as history, STORAGES[name]() as (opened, faults):
        report = record_history(opened, history, calls=calls, processes=4, faults=faults)
    return report, ["process killed", "process stopped", *(fault.name for fault in faults)]


def soak_threads(calls: int) -> HistoryReport:
    """Record a history of the memory storage, which one process has to itself."""
    with TemporaryDirectory(prefix="ca_embed-history-") as history:
        return record_threads(MemoryStorage(), Path(history), calls=calls)


def find_mutants() -> Iterator[tuple[str, str, str]]:
    """Yield each planted defect, what it does, and the first words of the report about it."""
    for mutant in MUTANTS:
        assert isinstance(mutant, type)
        with TemporaryDirectory(prefix="ca_embed-history-") as history:
            report = record_threads(mutant(MemoryStorage()), Path(history), calls=2000)
        found = (
            report.violations[0].partition("\n")[0].partition(": ")[2] if report.violations else "NOT FOUND"
        )
        yield mutant.__name__, (mutant.__doc__ or "").partition("\n")[0], found


def _row(name: str, report: HistoryReport, faults: Sequence[str], seconds: float) -> Sequence[object]:
    return [
        name,
        f"{report.calls:,}",
        report.processes,
        ", ".join(faults),
        f"{report.acknowledged:,}",
        f"{report.unknown:,}",
        len(report.violations),
        f"{seconds:.0f} s",
    ]


HEAD = ("storage", "calls", "processes", "faults", "acknowledged", "unknown", "violations", "time")


def _timed(
    work: Callable[[], tuple[HistoryReport, Sequence[str]]], name: str
) -> tuple[HistoryReport, Sequence[object]]:
    began = time.monotonic()
    report, faults = work()
    print(f"{name}: {report}", file=sys.stderr)
    return report, _row(name, report, faults, time.monotonic() - began)


def main(arguments: Sequence[str]) -> int:
    """Soak all storages, or those that are named, and print one line of figures."""
    calls = int(arguments[0]) if arguments else CALLS
    works: dict[str, Callable[[], tuple[HistoryReport, Sequence[str]]]] = {
        name: partial(soak, name, calls) for name in arguments[1:] or STORAGES
    }
    if not arguments[1:]:
        works["memory"] = lambda: (soak_threads(calls), ["threads only"])
    found = table(["defect", "what it does", "the report says"], find_mutants())
    parts = ["### The report on each planted defect\n", found]
    cuts = [(name, cut_everywhere_in_memory(name, records=12)) for name in ON_DISK]
    cut_rows = [[name, one.moments, one.disks, len(one.problems)] for name, one in cuts]
    parts += ["\n### Power cuts\n", table(["storage", "moments", "disks", "problems"], cut_rows)]
    reports: list[HistoryReport] = []
    rows: list[Sequence[object]] = []
    for name, work in works.items():
        report, row = _timed(work, name)
        reports.append(report)
        rows.append(row)
        write_section("history", "\n".join([table(HEAD, rows), "", *parts]))
    violations = sum(len(report.violations) for report in reports) + sum(len(one.problems) for _, one in cuts)
    total = sum(report.calls for report in reports)
    disks = sum(one.disks for _, one in cuts)
    missed = found.count("NOT FOUND")
    print(
        f"soak: {total:,} calls on {len(reports)} storages, {disks:,} disks after a power cut, "
        f"{violations} violations; {len(MUTANTS)} planted defects, {missed} not found"
    )
    return 1 if violations or missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
