"""The history of a whole deployment: webhooks that were delivered, handlers that ran, and what is stored."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count, pairwise
from math import inf
from pathlib import Path
from typing import Any

from ca_embed._registration import Credentials, Registration
from ca_embed.testing._history.recording import HistoryFile


class DeliveryRecorder:
    """Writes deliveries, handler runs and what is stored at the end to a file, for `check_deliveries`.

    file: `<folder>/<process>.jsonl`. Each process needs a file of its own; its threads may share it. No
        secret is written, only the beginning of its SHA-256 digest.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        """Keep the path. The file is opened when it is first needed."""
        self._log = HistoryFile(Path(file))
        self._numbers = count(1)

    @contextmanager
    def delivering(self, registration_id: str, app_secret: str, completed_at: str) -> Generator[_Answer]:
        """Deliver a webhook inside the block, and tell its `answer` what came back.

        If the block ends without an answer, or the process is killed, no one knows whether it arrived.
        """
        number = next(self._numbers)
        line = {"registration": registration_id, "secret": _digest(app_secret), "completed": completed_at}
        self._log.write({"delivery": number, "at": time.monotonic(), **line})
        answer = _Answer()
        try:
            yield answer
        finally:
            if answer.status is not None:
                came = {"status": answer.status, "word": answer.word}
                self._log.write({"answered": number, "at": time.monotonic(), **came})

    @contextmanager
    def running(self, handler: str, registration: Registration, credentials: Credentials) -> Generator[None]:
        """Run the work of an `on_completed` handler inside the block. An exception means that it failed."""
        number = next(self._numbers)
        line = {"registration": registration.registration_id, "secret": _digest(credentials.app_secret)}
        self._log.write({"run": number, "at": time.monotonic(), "handler": handler, **line})
        done = False
        try:
            yield
            done = True
        finally:
            self._log.write({"ran": number, "at": time.monotonic(), "done": done})

    def stored(self, registration_id: str, credentials: Credentials | None) -> None:
        """Note what is stored at the end, when all is answered and `reconcile` has nothing left to do."""
        secret = None if credentials is None else _digest(credentials.app_secret)
        self._log.write({"stored": registration_id, "secret": secret})

    def removed(self, registration_id: str) -> None:
        """Note that the host disconnects or forgets a registration. Call it before."""
        self._log.write({"removed": registration_id})

    def close(self) -> None:
        """Close the file."""
        self._log.close()


@dataclass(slots=True)
class _Answer:
    """What came back for a delivery: the HTTP status, and `status` of the JSON body."""

    status: int | None = None
    word: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a check of deliveries found.

    deliveries: how many were sent. acknowledged: how many got a 2xx. runs: how many handlers were run.
    violations: each as text. Empty if the deployment kept its promises.
    """

    deliveries: int
    acknowledged: int
    runs: int
    violations: Sequence[str] = field(repr=False)

    def __str__(self) -> str:
        figures = (
            f"{self.deliveries} deliveries, {self.acknowledged} acknowledged, {self.runs} handler runs, "
            f"{len(self.violations)} violations"
        )
        return "\n".join([figures, *self.violations])


def check_deliveries(folder: str | os.PathLike[str], handlers: Sequence[str] = ()) -> DeliveryReport:
    """Check the history that `DeliveryRecorder` has written into the files of a folder.

    - A delivery that got a 2xx is stored at the end, or a newer one of its registration is.
    - The same credentials are `accepted` once; every other time they are a `duplicate`.
    - Each of these handlers ran to its end, at least once, with the credentials that are stored.
    - No handler runs twice at the same time for one registration, as long as no process was stopped for
      longer than the lease of a handler, which is a minute.
    """
    by_registration: defaultdict[str, _Registration] = defaultdict(_Registration)
    for file in sorted(Path(folder).glob("*.jsonl")):
        _read(file, by_registration)
    ordered = sorted(by_registration.items())
    deliveries = [one for _, registration in ordered for one in registration.deliveries]
    violations = [
        f"registration {registration_id!r}: {problem}"
        for registration_id, registration in ordered
        for problem in registration.problems(handlers)
    ]
    return DeliveryReport(
        deliveries=len(deliveries),
        acknowledged=sum(one.acknowledged for one in deliveries),
        runs=sum(len(registration.runs) for _, registration in ordered),
        violations=violations,
    )


@dataclass(slots=True)
class _Delivery:
    secret: str
    completed: str
    process: str
    began: float
    ended: float = inf
    status: int | None = None
    word: str = ""

    @property
    def acknowledged(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def __str__(self) -> str:
        answer = "no answer" if self.status is None else f"{self.status} {self.word}".strip()
        return (
            f"delivered from {self.began:.6f} to {self.ended:.6f} by {self.process}, "
            f"credentials {self.secret[:6]}: {answer}"
        )


@dataclass(slots=True)
class _Run:
    handler: str
    secret: str
    process: str
    began: float
    ended: float = inf
    done: bool = False

    def __str__(self) -> str:
        return (
            f"{self.handler} ran from {self.began:.6f} to {self.ended:.6f} in {self.process}, "
            f"credentials {self.secret[:6]}"
        )


@dataclass(slots=True)
class _Registration:
    deliveries: list[_Delivery] = field(default_factory=list)
    runs: list[_Run] = field(default_factory=list)
    stored: list[str | None] = field(default_factory=list)
    removed: bool = False

    def problems(self, handlers: Sequence[str]) -> Iterator[str]:
        yield from self._accepted_twice()
        yield from self._overlaps()
        delivered = {one.secret for one in self.deliveries}
        if strange := [run for run in self.runs if run.secret not in delivered]:
            yield f"a handler got credentials that no one delivered: {strange[0]}"
        if not self.removed:
            yield from self._lost(handlers)

    def _lost(self, handlers: Sequence[str]) -> Iterator[str]:
        acknowledged = [one for one in self.deliveries if one.acknowledged]
        if not acknowledged:
            return
        newest = max(acknowledged, key=lambda one: one.completed)
        secret = self.stored[-1] if self.stored else None
        allowed = {one.secret for one in self.deliveries if one.completed >= newest.completed}
        if secret not in allowed:
            found = "older credentials are stored" if secret else "nothing is stored at the end"
            yield f"{found}, although this was acknowledged: {newest}"
            return
        for handler in handlers:
            if not any(run.done and run.handler == handler and run.secret == secret for run in self.runs):
                yield f"the handler {handler} never ran to its end with what is stored: {newest}"

    def _accepted_twice(self) -> Iterator[str]:
        accepted: dict[str, _Delivery] = {}
        for one in sorted(self.deliveries, key=lambda one: one.began):
            if one.word != "accepted":
                continue
            if one.secret in accepted:
                yield f"the same credentials were accepted twice: {accepted[one.secret]}; {one}"
            accepted[one.secret] = one

    def _overlaps(self) -> Iterator[str]:
        """Find runs of one handler at the same time. A run without an end was killed with its process."""
        runs = sorted(
            (run for run in self.runs if run.ended != inf), key=lambda run: (run.handler, run.began)
        )
        for one, next_ in pairwise(runs):
            if one.handler == next_.handler and next_.began < one.ended:
                yield f"a handler ran twice at the same time: {one}; {next_}"


def _read(file: Path, by_registration: Mapping[str, _Registration]) -> None:
    deliveries: dict[int, _Delivery] = {}
    runs: dict[int, _Run] = {}
    *whole, _cut_off = file.read_bytes().split(b"\n")
    for text in whole:
        line: dict[str, Any] = json.loads(text)
        match line:
            case {
                "delivery": number,
                "registration": one,
                "secret": secret,
                "completed": completed,
                "at": at,
            }:
                deliveries[number] = _Delivery(secret, completed, file.stem, at)
                by_registration[one].deliveries.append(deliveries[number])
            case {"answered": number, "status": status, "word": word, "at": at}:
                deliveries[number].ended = at
                deliveries[number].status, deliveries[number].word = status, word
            case {"run": number, "registration": one, "handler": handler, "secret": secret, "at": at}:
                runs[number] = _Run(handler, secret, file.stem, at)
                by_registration[one].runs.append(runs[number])
            case {"ran": number, "at": at, "done": done}:
                runs[number].ended, runs[number].done = at, done
            case {"stored": one, "secret": secret}:
                by_registration[one].stored.append(secret)
            case {"removed": one}:
                by_registration[one].removed = True


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()[:16]
