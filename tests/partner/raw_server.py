"""A raw HTTP server on loopback, which sends the bytes of a test, also one by one."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable

TOKEN = "fake-partner-token-0123456789"  # no one's

SESSION_ID = "abc123def456ghi789jkl0"

Answer = bytes | Callable[[socket.socket, threading.Event], None]


def http(body: object, status: str = "200 OK", *headers: str) -> bytes:
    """Return the bytes of an HTTP response. A body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(head).encode() + content


def dripping(answer: bytes) -> Answer:
    """Return a response that is sent byte by byte, so slowly that a call without a deadline would hang."""

    def drip(connection: socket.socket, stop: threading.Event) -> None:
        for byte in answer:
            connection.sendall(bytes([byte]))
            if stop.wait(0.05):
                return

    return drip


def silent(_connection: socket.socket, stop: threading.Event) -> None:
    """Send nothing, and keep the connection open."""
    stop.wait()


class RawServer:
    """Records every request. It sends the set responses in turn, then repeats the last one."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[Answer] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._tls = tls
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.base_url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    @property
    def last_request(self) -> bytes:
        return self.requests[-1]

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        with contextlib.suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while request := _read_request(connection, self._stop):
                self.requests.append(request)
                answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                if not isinstance(answer, bytes):
                    answer(connection, self._stop)
                    break
                connection.sendall(answer)
        connection.close()


def _read_request(connection: socket.socket, stop: threading.Event) -> bytes:
    received = b""
    while not _is_whole(received):
        if stop.is_set():
            return b""
        connection.settimeout(0.1)
        try:
            more = connection.recv(65536)
        except TimeoutError:
            continue
        if not more:
            return b""
        received += more
    return received


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= (int(lengths[0].partition(b":")[2]) if lengths else 0)
