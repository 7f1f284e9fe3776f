"""A fake host application and a fake ChatArchitect on loopback origins, which tests control."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ASSET = Path(__file__).parents[2] / "ca_embed" / "assets" / "ca-embed.js"

FRAME = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Registration</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 32px; color: #222; background: #fff; }
input { display: block; font: inherit; padding: 10px; width: 100%; box-sizing: border-box; }</style>
<body><main><h1>Registration form</h1><label>Phone number<input placeholder="+421"></label>
<button id="inside">Next</button></main><script>
const id = new URLSearchParams(location.search).get('s');
const say = (message) => parent.postMessage(message, '*');
window.keys = 0;
addEventListener('keydown', () => window.keys++);
addEventListener('message', ({ data }) => {
  if (data.go) location.href = data.go;
  for (let n = 0; n < (data.times ?? 1); n++) if ('say' in data) say(data.say);
});
const ready = { type: 'ca.whatsapp.registration', event: 'ready', registration_id: id };
if (id && !location.search.includes('silent')) say(ready);
</script>"""


@dataclass
class Call:
    """One request that the element made to the host's backend."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Script:
    """The behaviour of the two servers. Each test starts with a new one and may change it."""

    head: str = ""
    body: str = ""
    whole: str = ""  # the complete page, instead of one with that head and body
    page_headers: dict[str, str] = field(default_factory=dict)
    create: dict[str, Any] = field(default_factory=dict)  # replaces fields of the answer to POST /sessions
    create_error: tuple[int, Any] | None = None
    hold_create: threading.Event | None = None
    statuses: dict[str, Any] = field(
        default_factory=dict
    )  # registration id: replaced fields, or (HTTP status, body)
    listed: Any = field(default_factory=list)  # the answer to GET /sessions, or (HTTP status, body)
    frame_query: str = ""
    frame_headers: dict[str, str] = field(default_factory=dict)
    allow_origin: str = ""
    calls: list[Call] = field(default_factory=list)

    def created(self) -> list[Call]:
        return [call for call in self.calls if call.method == "POST" and call.path.endswith("/sessions")]

    def asked(self) -> list[Call]:
        return [call for call in self.calls if call.method == "GET" and "/sessions/" in call.path]

    def steps(self) -> list[Any]:
        return [call.body["step"] for call in self.calls if call.path.endswith("/step")]


class Site:
    """The servers: the host at `host`, ChatArchitect at `partner`, the host on another port at `other`."""

    def __init__(self) -> None:
        self.script = Script()
        self._servers = [self._serve(handler) for handler in (HostHandler, HostHandler, FrameHandler)]
        self.host, self.other, self.partner = (
            f"http://127.0.0.1:{server.server_port}" for server in self._servers
        )

    def _serve(self, handler: type[Handler]) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"site": self}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def page(self) -> str:
        return (
            self.script.whole
            or f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Host</title>
<script src="/spy.js"></script>{self.script.head}<body><main>{self.script.body}</main>"""
        )

    def session(self) -> dict[str, Any]:
        identifier = f"reg{len(self.script.created())}"
        url = f"{self.partner}/?s={identifier}&mode=embed{self.script.frame_query}"
        answer = {"registration_id": identifier, "iframe_url": url, "iframe_origin": self.partner}
        return answer | {"expires_at": "2099-01-01T00:00:00+00:00", "status": "started"} | self.script.create

    def status(self, identifier: str) -> tuple[int, Any]:
        changed = self.script.statuses.get(identifier, {})
        if isinstance(changed, tuple):
            return changed
        default = {"status": "started", "expires_at": None, "phone": None, "completed_at": None}
        return 200, {"registration_id": identifier} | default | changed


class Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Write no access log."""

    def answer(
        self, status: int, body: str | bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        content = body.encode() if isinstance(body, str) else body
        with suppress(ConnectionError):  # the browser has closed the connection
            self.send_response(status)
            for name, value in {
                "Content-Type": kind,
                "Content-Length": str(len(content)),
                **(headers or {}),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    def answer_json(self, status: int, body: Any) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        origin = self.site.script.allow_origin
        allow = (
            {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
            if origin
            else {}
        )
        self.answer(status, text, "application/json", allow)


class HostHandler(Handler):
    def do_GET(self) -> None:
        path, script = urlsplit(self.path).path, self.site.script
        if path.rpartition("/")[2].startswith("ca-embed."):
            self.answer(
                200,
                ASSET.read_bytes(),
                "text/javascript; charset=utf-8",
                {"Access-Control-Allow-Origin": "*"},
            )
        elif path == "/spy.js":
            self.answer(200, SPY, "text/javascript; charset=utf-8")
        elif path.endswith("/sessions"):
            self.record(None)
            listed = self.site.script.listed
            self.answer_json(*(listed if isinstance(listed, tuple) else (200, {"registrations": listed})))
        elif path.startswith("/chatarchitect/sessions/"):
            self.record(None)
            self.answer_json(*self.site.status(path.rsplit("/", 1)[1]))
        elif path in ("/page", "/chatarchitect/"):
            self.answer(200, self.site.page(), "text/html; charset=utf-8", script.page_headers)
        elif path == "/frame":
            self.answer(200, FRAME, "text/html; charset=utf-8")
        elif path == "/empty":
            self.answer(200, "<!doctype html><title>Empty</title>", "text/html")
        else:
            self.answer(404, "", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.record(json.loads(body))
        script, session = self.site.script, self.site.session()
        if self.path.endswith("/step"):
            self.answer(204, "", "text/plain")
            return
        if script.hold_create:
            script.hold_create.wait(20)
        self.answer_json(*(script.create_error or (201, session)))

    def do_OPTIONS(self) -> None:
        allow = {
            "Access-Control-Allow-Origin": self.site.script.allow_origin,
            "Access-Control-Allow-Credentials": "true",
        }
        self.answer(200, "", "text/plain", allow | {"Access-Control-Allow-Headers": "content-type"})

    def record(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.site.script.calls.append(Call(self.command, self.path, headers, body))


class FrameHandler(Handler):
    def do_GET(self) -> None:
        self.answer(200, FRAME, "text/html; charset=utf-8", self.site.script.frame_headers)


SPY = """
// Dispatches a forged message event with the right data, origin and source.
window.forge = (data, origin) => {
  const source = document.querySelector('ca-whatsapp-registration').iframe.contentWindow;
  const event = new MessageEvent('message', { data, origin });
  dispatchEvent(Object.defineProperty(event, 'source', { value: source }));
};
// Records the events for the tests. With ?fast, timers run 100 times as fast.
window.heard = [];
const hints = 'ready height phone_verified facebook_started completed failed cancelled';
for (const name of (hints + ' confirmed error closed state').split(' ')) {
  const hear = ({ detail, target }) => window.heard.push({ name, ...detail, target: target.id });
  document.addEventListener('ca-embed:' + name, hear);
}
if (location.search.includes('fast')) {
  const slow = window.setTimeout;
  // Timers of a minute or more are not the element's: WebKit's driver uses the page's setTimeout itself.
  // The 3 minutes that the iframe stays after a setback are.
  // The 20 s that the iframe has for loading become 2 s: it really loads, and this machine may be busy.
  const speedOf = (ms) => (ms === 180000 ? 100 : ms >= 60000 ? 1 : ms === 20000 ? 10 : 100);
  window.setTimeout = (work, ms, ...rest) => slow(work, ms / speedOf(ms), ...rest);
}
"""
