"""Every crash point of one accepted webhook: end the process at each system call, then let each fail.

    python -m tests.crash.points

A child process receives one webhook through the WSGI door of an Embed, under strace. It is killed upon
entering a system call, or the call returns an error. Then other processes look at what is stored.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ca_embed import Credentials, Embed, Registration
from tests.crash import traced
from tests.crash.traced import Syscall
from tests.flow.kit import SECRET, build, delivery, store_session
from tools.reliability import table, write_section

REGISTRATION = "abc123def456ghi789jkl0"
APP_ID = "ca_app_123"
STORAGES = {"SQLite": "sqlite:///{}/r.db", "files": "file:{}/r"}
SCENES = ("first webhook", "webhook of an open session")
KILL, EIO, ENOSPC = "signal=KILL", "error=EIO", "error=ENOSPC"
WAYS = (KILL, EIO, ENOSPC)

# The calls that change what is on the disk.
DECISIVE = {
    "fdatasync", "fsync", "ftruncate", "mkdir", "mkdirat", "pwrite64", "rename", "renameat", "renameat2",
    "unlink", "unlinkat", "write", "writev",
}  # fmt: skip
# The calls that may fail because of the disk.
OF_FILES = DECISIVE | {
    "access", "chmod", "close", "faccessat", "faccessat2", "fallocate", "fchmod", "fcntl", "flock", "fstat",
    "getdents64", "lseek", "lstat", "newfstatat", "open", "openat", "pread64", "read", "readlink", "stat",
    "statfs", "statx",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """A storage, and what happened there before the webhook."""

    storage: str
    name: str

    def __str__(self) -> str:
        return f"{self.storage}, {self.name}"

    def url(self, folder: Path) -> str:
        """Return the URL of the storage in a folder."""
        return STORAGES[self.storage].format(folder)

    def prepare(self, folder: Path) -> None:
        """Make what is there before the webhook."""
        folder.mkdir()
        embed = build(storage=self.url(folder))
        if self.name == SCENES[1]:
            store_session(embed, REGISTRATION, expires_at=time.time() + 3600)
        assert embed.credentials(REGISTRATION) is None
        embed.close()


class Points:
    """The crash points of a scene, each tried in a copy of the prepared folder."""

    def __init__(self, scene: Scene, place: Path) -> None:
        """Prepare the scene in a folder below `place`."""
        self.scene = scene
        self._place = place
        self._template = place / "template"
        self._tried = 0
        _import_everything(place)
        scene.prepare(self._template)

    def all(self) -> list[Syscall]:
        """Return the system calls of the webhook, from its first byte to the response."""
        folder = self._copy()
        log = folder / "strace.log"
        ended = traced.run(partial(receive, self.scene.url(folder), folder), "-o", str(log))
        assert ended.reported == ["200 accepted"], ended
        found = traced.syscalls(log, "200 accepted")
        shutil.rmtree(folder)
        return found

    def try_one(self, point: Syscall, way: str) -> str | None:
        """Break one system call. Return what is wrong afterwards, or None."""
        folder = self._copy()
        options = ("-e", f"trace={point.name}", "-e", f"inject={point.name}:{way}:when={point.number}")
        ended = traced.run(partial(receive, self.scene.url(folder), folder), *options, "-o", "/dev/null")
        problem = next(self._problems(folder, ended, way), None)
        shutil.rmtree(folder)
        return problem and f"{self.scene}, {way} at {point}: {problem}\n    {point.line[:200]}"

    def _copy(self) -> Path:
        self._tried += 1
        folder = self._place / f"try-{self._tried}"
        shutil.copytree(self._template, folder)
        return folder

    def _problems(self, folder: Path, ended: traced.Ended, way: str) -> Iterator[str]:
        words = ended.reported
        if way == KILL and not ended.killed and words != ["200 accepted"]:
            yield f"the process was to be killed, and reported {words}"
        if not ended.killed and (len(words) != 1 or not words[0].startswith(("200 accepted", "503"))):
            yield f"the webhook was answered with {words}"
        if clear := [file for file in folder.rglob("*") if file.is_file() and _shows(file)]:
            yield f"{clear[0].name} holds a credential in clear text"
        yield from look(self.scene.url(folder), folder, acknowledged="200 accepted" in words)


def _import_everything(place: Path) -> None:
    """Receive a webhook in this process, so that the traced ones find all modules loaded."""
    folder = place / "imports"
    if not folder.exists():
        folder.mkdir()
        for url in STORAGES.values():
            receive(url.format(folder), folder, lambda _: None, lambda: None)


def receive(url: str, folder: Path, report: Callable[[str], None], wait: Callable[[], None]) -> None:
    """Receive the webhook once, in a process that is traced from `wait` on, and report the answer."""
    embed = _embed(url, folder)
    try:
        assert embed.credentials("another") is None  # what is done once at the first use is done now
        wait()
        report(_post(embed))
    finally:
        embed.close()


def look(url: str, folder: Path, *, acknowledged: bool) -> Iterator[str]:
    """Look at what is stored, let the same delivery come again, and finish what is due. Yield problems."""
    embed = _embed(url, folder)
    try:
        found = embed.credentials(REGISTRATION)
        if acknowledged and found is None:
            yield "lost: it was acknowledged, and is not stored"
        if found is not None and not _is_whole(found):
            yield "torn: other credentials are stored"
        if (answer := _post(embed)) not in ("200 accepted", "200 duplicate"):
            yield f"the same delivery, sent again, was answered with {answer}"
        found = embed.credentials(REGISTRATION)
        if found is None or not _is_whole(found):
            yield "the same delivery, sent again, is not stored"
    finally:
        embed.close()
    yield from _finish(url, folder)


def _finish(url: str, folder: Path) -> Iterator[str]:
    """Finish what is due, two minutes later. Yield problems."""
    later = _embed(url, folder, clock=lambda: time.time() + 120)
    try:
        did = later.reconcile()
        if did.unreadable or did.failed:
            yield f"reconcile found records that it could not use: {did}"
        if REGISTRATION not in (folder / "handled").read_text().split():
            yield "the handler never ran"
        if later.reconcile().handlers_done:
            yield "a handler was still due after reconcile"
        if [one.registration_id for one in later.registrations()] != [REGISTRATION]:
            yield "the list of registrations is not as it should be"
    finally:
        later.close()


def _embed(url: str, folder: Path, **more: Any) -> Embed:
    embed = build(storage=url, **more)

    def note(registration: Registration, credentials: Credentials) -> None:
        with (folder / "handled").open("a") as file:
            file.write(f"{registration.registration_id}\n")

    embed.on_completed(note, name="note")
    return embed


def _post(embed: Embed) -> str:
    headers, body = delivery()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/webhook",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "crm.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(body),
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
    status: list[str] = []
    answer = b"".join(embed.wsgi(environ, lambda line, *_: status.append(line.split()[0])))
    word = next((word for word in ("accepted", "duplicate") if word.encode() in answer), "")
    return f"{status[0]} {word}".strip()


def _is_whole(found: Credentials) -> bool:
    return (found.app_id, found.app_secret) == (APP_ID, SECRET)


def _shows(file: Path) -> bool:
    content = file.read_bytes()
    return file.suffix != ".log" and (SECRET.encode() in content or APP_ID.encode() in content)


def try_all(scene: Scene, place: Path, *, decisive: bool) -> tuple[Counter[str], list[str]]:
    """Try the points of a scene: all, or the decisive ones. Return how many in each way, and the problems."""
    points = Points(scene, place)
    found = points.all()
    tried: Counter[str] = Counter()
    problems: list[str] = []
    for way in WAYS:
        for point in found:
            if point.name not in (DECISIVE if decisive else OF_FILES) and (decisive or way != KILL):
                continue
            tried[way] += 1
            if problem := points.try_one(point, way):
                problems.append(problem)
    return tried, problems


def main() -> int:
    """Try every point of every scene, and write the figures into docs/reliability.md."""
    logging.getLogger("ca_embed").addHandler(logging.NullHandler())  # each broken call logs a line
    rows: list[Sequence[object]] = []
    problems: list[str] = []
    for scene in (Scene(storage, name) for storage in STORAGES for name in SCENES):
        with TemporaryDirectory(prefix="ca_embed-points-") as place:
            tried, found = try_all(scene, Path(place), decisive=False)
        problems += found
        rows.append([scene.storage, scene.name, *(tried[way] for way in WAYS), len(found)])
        print(f"{scene}: {dict(tried)}, {len(found)} problems", file=sys.stderr)
    head = ["storage", "scene", "killed at", "failed with EIO", "failed with ENOSPC", "problems"]
    total = sum(sum(row[2:5]) for row in rows)  # type: ignore[arg-type]
    line = f"crash points: {total} tried, {len(problems)} with a loss, a tear, clear text or an open end"
    write_section("crash-points", f"{table(head, rows)}\n\n{line[0].upper()}{line[1:]}.")
    print("\n".join([*problems, line]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
