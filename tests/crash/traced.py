"""Runs a function in a child process under strace, which records its system calls or breaks one of them."""

from __future__ import annotations

import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

Work: TypeAlias = Callable[[Callable[[str], None], Callable[[], None]], None]

PATIENCE = 30.0  # seconds for a child to end
_PR_SET_PTRACER = 0x59616D61
_ANY = ctypes.c_ulong(-1)
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$", re.DOTALL)


def has_strace() -> bool:
    """Tell whether strace is there."""
    return shutil.which("strace") is not None


@dataclass(frozen=True, slots=True)
class Syscall:
    """The nth call of a system call in a child process."""

    name: str
    number: int
    line: str

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a child: what it has reported, and whether it was killed."""

    reported: Sequence[str]
    killed: bool


def run(work: Work, *options: str) -> Ended:
    """Run `work(report, wait)` in a child process, under strace with these options after it called `wait`.

    What it reports arrives even if the process is killed afterwards.
    """
    ready_reader, ready_writer = os.pipe()
    go_reader, go_writer = os.pipe()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(work, _Pipes(go_reader, writer, ready_writer), (go_writer, reader, ready_reader))
    for file in (go_reader, writer, ready_writer):
        os.close(file)
    os.read(ready_reader, 1)
    os.close(ready_reader)
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", *options, "-p", str(child)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _wait_for_tracer(child, tracer)
        os.write(go_writer, b"go")
        status = _ended(child)
    finally:
        os.close(go_writer)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)
        tracer.communicate(timeout=PATIENCE)
    with os.fdopen(reader, "rb") as pipe:
        reported = pipe.read().decode().splitlines()
    return Ended(reported, killed=os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)


def syscalls(log: Path, end: str) -> list[Syscall]:
    """Return the system calls in a log of strace, up to the one that writes this word.

    They are numbered as strace's injection counts them, by name and thread.
    """
    found: list[Syscall] = []
    counts: Counter[tuple[str, str]] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        thread, name, rest = match.groups()
        if end in rest:
            return found
        counts[thread, name] += 1
        found.append(Syscall(name, counts[thread, name], line))
    raise AssertionError(f"the log of strace has no call that writes {end!r}")


class _Pipes(NamedTuple):
    """The child's ends of its pipes: it may go on; what it reports; it is ready to be traced."""

    go: int
    report: int
    ready: int


def _be_child(work: Work, pipes: _Pipes, of_parent: Iterable[int]) -> None:
    status = 1
    try:
        for file in of_parent:
            os.close(file)
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)  # where only a parent may trace
        work(partial(_report, pipes.report), partial(_wait, pipes))
        status = 0
    finally:
        os._exit(status)


def _wait(pipes: _Pipes) -> None:
    """Wait until the process is traced. It makes no call that could be counted or broken."""
    os.close(pipes.ready)
    poll = select.poll()
    poll.register(pipes.go, select.POLLIN)
    poll.poll()


def _report(writer: int, word: str) -> None:
    os.write(writer, f"{word}\n".encode())


def _wait_for_tracer(child: int, tracer: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE
    while b"TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_bytes():
        if tracer.poll() is not None or time.monotonic() > give_up:
            assert tracer.stderr is not None
            raise RuntimeError(f"strace cannot trace: {tracer.stderr.read().decode()}")
        time.sleep(0.002)


def _ended(child: int) -> int:
    give_up = time.monotonic() + PATIENCE
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        if time.monotonic() > give_up:
            raise TimeoutError("the traced process does not end")
        time.sleep(0.002)
