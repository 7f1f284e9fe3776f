"""What a host pays before the first registration: import time, modules, the first answer, and memory.

    python -m benchmarks.start

Each figure is that of new interpreters, which take turns.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks._deliveries import BASE_URL, KEY, PUBLIC_URL, TOKENS
from benchmarks._measure import QUICK, Figure, best, show

_ENVIRONMENT = {
    "CA_EMBED_BASE_URL": BASE_URL,
    "CA_EMBED_PARTNER_TOKEN": TOKENS[0],
    "CA_EMBED_PUBLIC_URL": PUBLIC_URL,
    "CA_EMBED_STORAGE": "memory:",
    "CA_EMBED_ENCRYPTION_KEYS": KEY,
}
_FIRST_ANSWER = """
from ca_embed import Embed
embed = Embed.from_env()
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/live", "SCRIPT_NAME": ""}
list(embed.wsgi(environ, lambda status, headers: None))
"""
_FLASK = """
import flask
app = flask.Flask("host")
app.test_client().get("/")
"""
_FLASK_WITH_US = """
import flask
from ca_embed import Embed
from ca_embed.adapters.flask import blueprint
app = flask.Flask("host")
app.register_blueprint(blueprint(Embed.from_env()))
app.test_client().get("/chatarchitect/live")
"""
_MEMORY = "\nprint(next(line for line in open('/proc/self/status') if line.startswith('VmRSS')).split()[1])"
_MODULES = "\nimport sys; print(len(sys.modules))"

PROGRAMS = {
    "bare": "pass",
    "import ca_embed": "import ca_embed",
    "from ca_embed import Embed": "from ca_embed import Embed",
    "first answer": _FIRST_ANSWER,
}


def main() -> list[Figure]:
    """Measure, and print the figures."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(5 if QUICK else 25):
        for name, program in PROGRAMS.items():
            begin = time.perf_counter()
            _run(program)
            times[name].append((time.perf_counter() - begin) * 1000)
    bare = best(times["bare"])
    figures = [
        _figure("import ca_embed, to bare Python", best(times["import ca_embed"]), bare, "ms", 1.2),
        _figure("import of Embed, to bare Python", best(times["from ca_embed import Embed"]), bare, "ms"),
        _figure(
            "Embed.from_env to its first answer, to bare Python", best(times["first answer"]), bare, "ms"
        ),
        _figure("modules after import ca_embed, to bare Python", *_counts("import ca_embed", "")),
        _figure("modules after import of Embed, to bare Python", *_counts("from ca_embed import Embed", "")),
    ]
    if sys.platform == "linux":
        ours, theirs = (float(_run(program + _MEMORY)) / 1024 for program in (_FLASK_WITH_US, _FLASK))
        figures.append(_figure("memory of a Flask host with us, to one without", ours, theirs, "MB"))
    return show(figures)


def _counts(ours: str, theirs: str) -> tuple[float, float, str]:
    return float(_run(ours + _MODULES)), float(_run(theirs + _MODULES)), "modules"


def _figure(name: str, ours: float, theirs: float, unit: str, target: float | None = None) -> Figure:
    return Figure(name, ours / theirs, ours, theirs, unit, target=target)


def _run(program: str) -> str:
    environment = {**os.environ, **_ENVIRONMENT}
    ran = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return ran.stdout


if __name__ == "__main__":
    main()
