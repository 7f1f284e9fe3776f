"""A load generator: `python -m benchmarks._load HOST PORT CONNECTIONS SECONDS KIND PATH...`.

It runs in a process of its own, sends deliveries over connections that stay open, to each path in turn, and
prints one JSON object for each turn: requests a second, and the median and the 99th percentile in ms.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time

from benchmarks._deliveries import TOKENS, body_of
from ca_embed._webhook import sign

TURN = 0.75  # seconds


def request(path: str, kind: str, host: str) -> bytes:
    """Return one delivery as it is sent."""
    body, now = body_of(400), int(time.time())
    signature = sign(body, now, TOKENS[0]) if kind == "accepted" else "sha256=" + "0" * 64
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ChatArchitect\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nX-CA-Event-Id: evt_1\r\n"
        f"X-CA-Timestamp: {now}\r\nX-CA-Signature: {signature}\r\n\r\n"
    )
    return head.encode() + body


async def turn(host: str, port: int, connections: int, path: str, kind: str) -> dict[str, float]:
    """Send deliveries to one path for one turn."""
    prepared = [request(path, kind, f"{host}:{port}") for _ in range(int(6000 * TURN))]
    times: list[float] = []
    end = time.perf_counter() + TURN

    async def run() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        while prepared and (begin := time.perf_counter()) < end:
            writer.write(prepared.pop())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(head))
            expected = b" 200 " if kind == "accepted" else b" 401 "
            if expected not in head.partition(b"\r\n")[0]:
                raise SystemExit(f"{path} answered {head!r}")
            times.append(time.perf_counter() - begin)
            if b"connection: close" in head.lower():
                writer.close()
                reader, writer = await asyncio.open_connection(host, port)
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(connections)))
    spent = time.perf_counter() - begin
    times.sort()
    return {
        "rate": len(times) / spent,
        "p50": statistics.median(times) * 1000,
        "p99": times[int(len(times) * 0.99)] * 1000,
    }


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def main() -> None:
    """Take turns at the paths until the time is over."""
    host, port, connections, seconds, kind, *paths = sys.argv[1:]
    for path in paths:  # warm up
        await turn(host, int(port), min(4, int(connections)), path, kind)
    for _ in range(max(1, round(float(seconds) / TURN / len(paths)))):
        for path in paths:
            figures = await turn(host, int(port), int(connections), path, kind)
            print(json.dumps({"path": path, **figures}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
