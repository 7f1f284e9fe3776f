"""Deliveries to real servers, ours beside a view by hand in the same process: `python -m benchmarks.servers`.

gunicorn runs Flask with 16 threads, uvicorn runs Starlette. The load comes from another process.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from benchmarks._measure import QUICK, Figure, paired, rates, show

OURS, BY_HAND = "/chatarchitect/webhook", "/by-hand/webhook"
TARGETS = {1: 0.95, 16: 1.2}


def main() -> list[Figure]:
    """Measure both servers, and print the figures."""
    figures = []
    for name in ("gunicorn and Flask", "uvicorn and Starlette"):
        with server(name) as port:
            for connections in (1, 16, 64):
                figures += _figures(name, port, connections, "accepted", TARGETS.get(connections))
            refused = 0.95 if "Flask" in name else 1.2
            figures += _figures(name, port, 16, "refused", refused)[:1]
    return show(figures)


def _figures(name: str, port: int, connections: int, kind: str, target: float | None) -> list[Figure]:
    seconds = 3 if QUICK else 9
    command = [sys.executable, "-m", "benchmarks._load", "127.0.0.1", str(port), str(connections)]
    ran = subprocess.run(  # noqa: S603 (our own program)
        [*command, str(seconds), kind, OURS, BY_HAND], stdout=subprocess.PIPE, check=True, text=True
    )
    turns = [json.loads(line) for line in ran.stdout.splitlines()]
    ours = [one for one in turns if one["path"] == OURS]
    theirs = [one for one in turns if one["path"] == BY_HAND]
    what = f"{name}, {connections} connections, {kind}"
    return [
        rates(
            f"{what}: rate, to a view by hand",
            [one["rate"] for one in ours],
            [one["rate"] for one in theirs],
            target=target,
        ),
        *(
            paired(
                f"{what}: {name_of}, to a view by hand",
                [one[key] for one in ours],
                [one[key] for one in theirs],
            )
            for key, name_of in (("p50", "median"), ("p99", "99th percentile"))
        ),
    ]


@contextmanager
def server(name: str) -> Iterator[int]:
    """Run a server on a free port until the block ends. Yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    bind = f"127.0.0.1:{port}"
    if name.startswith("gunicorn"):
        options = ["--threads", "16", "--keep-alive", "60", "--log-level", "error", "--bind", bind]
        command = ["gunicorn", *options, "benchmarks._sites:flask()"]
    else:
        options = ["--port", str(port), "--log-level", "error", "--no-access-log", "--factory"]
        command = ["uvicorn", *options, "benchmarks._sites:starlette"]
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "CA_EMBED_BENCHMARK_FOLDER": folder}
        process = subprocess.Popen([sys.executable, "-m", *command], env=environment)  # noqa: S603 (ours)
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the server did not start") from None
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()
