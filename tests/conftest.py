"""What holds for every test.

No word from the developer's environment, no traffic beyond this machine, no deadline on a slow
example, nothing left open, and under CI no test left out. Temporary files are kept in memory.
"""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.leaks"]

# What the processes of the storage suites import: the fork server does it once for all.
NEEDED_BY_PROCESSES = [
    "ca_embed.storage._redis.storage",
    "ca_embed.storage._sql.storage",
    "ca_embed.testing._storage_processes",
    "tests.adapters.django_database",
]

MEMORY = Path("/dev/shm")
NEEDED_MEMORY = 4 << 30  # bytes; the database servers of two test processes take 1 GiB

LONGEST_FIRST = [  # files and folders. The rest follows in the order of names.
    "tests/adapters/test_django_storage.py",
    "tests/storage/sql/test_contract.py",
    "tests/browser/test_words.py",
    "tests/doors/test_servers.py",
    "tests/crash/",
    "tests/browser/",
    "tests/storage/",
    "tests/examples/",
    "tests/test_packaging.py",
    "tests/test_readme.py",
    "tests/cli/",
    "tests/adapters/",
]

UNDER_CI = os.environ.get("CI") == "true"

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    """Forget settings and proxies of the shell that the tests were started from; stay on loopback."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # pytest-xdist would begin with the files of most tests
    for name in list(os.environ):
        if name.startswith("CA_EMBED_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    _keep_temporary_files_in_memory()
    sys.addaudithook(_refuse_other_machines)
    multiprocessing.set_forkserver_preload(NEEDED_BY_PROCESSES)


def _keep_temporary_files_in_memory() -> None:
    """Spare the tests the wait for the disk, which storages and database servers flush at each commit.

    A killed process loses nothing there either. TMPDIR chooses another place.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    if shutil.disk_usage(MEMORY).free > NEEDED_MEMORY:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest if several processes share the files: so none waits long at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.nodeid))


def _turn(nodeid: str) -> int:
    turns = (turn for turn, path in enumerate(LONGEST_FIRST) if nodeid.startswith(path))
    return next(turns, len(LONGEST_FIRST))


def _refuse_other_machines(event: str, args: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        if isinstance(address, tuple) and not _is_loopback(address[0]):
            pytest.fail(f"A test reached for {address}. Tests use loopback addresses only.")


def _is_loopback(host: str) -> bool:
    return host in ("", "localhost") or ipaddress.ip_address(host).is_loopback


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run under CI if a test was skipped: a green run must mean that all of them ran."""
    if UNDER_CI and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was skipped, and say what to do about it."""
    if UNDER_CI and (skipped := _skipped(config)):
        terminalreporter.section("skipped under CI: the run has failed", red=True)
        for test in skipped:
            terminalreporter.line(f"SKIPPED {test}")
        terminalreporter.line("Give the run what these tests need, or do not collect them.")


def _skipped(config: pytest.Config) -> list[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker of pytest-xdist, whose reports go to the main process
        return []
    return [report.nodeid for report in reporter.stats.get("skipped", [])]
