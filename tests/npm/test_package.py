"""The npm package: packed, installed, and used by type checkers, bundlers and servers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from ca_embed import __version__
from tests.browser.tools import ROOT, node

NPM = ROOT / "npm"


def run(folder: Path, *command: str | Path) -> str:
    """Run a program of Node.js in a folder and return what it prints. Fails if the program does."""
    ran = node("node", *map(str, command), modules=NPM / "node_modules", folder=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as npm would publish and unpack it."""
    folder = tmp_path_factory.mktemp("npm")
    run(ROOT, NPM / "build.mjs", folder / "built")
    npm = shutil.which("npm")
    assert npm is not None
    subprocess.run(
        [npm, "pack", "--silent", "--offline", "--pack-destination", str(folder)],
        cwd=folder / "built",
        capture_output=True,
        check=True,
    )
    with tarfile.open(folder / f"ca-embed-{__version__}.tgz") as packed:
        packed.extractall(folder, filter="data")
    return folder / "package"


@pytest.fixture(scope="module")
def consumer(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has the package and the tools installed."""
    folder = tmp_path_factory.mktemp("consumer")
    shutil.copytree(NPM / "consumers", folder, dirs_exist_ok=True)
    installed = folder / "node_modules"
    installed.mkdir()
    for tool in (NPM / "node_modules").iterdir():
        (installed / tool.name).symlink_to(tool)
    shutil.copytree(package, installed / "ca-embed")
    return folder


def test_what_is_packed(package: Path) -> None:
    """It has the release of ca_embed, the very file that ca_embed serves, its types, and no dependency."""
    manifest = json.loads((package / "package.json").read_text())
    assert (manifest["name"], manifest["version"], manifest["license"]) == ("ca-embed", __version__, "MIT")
    assert "dependencies" not in manifest
    assert all(manifest["peerDependenciesMeta"][name]["optional"] for name in manifest["peerDependencies"])
    assets = ROOT / "ca_embed" / "assets"
    assert (package / "element.js").read_bytes() == (assets / "ca-embed.js").read_bytes()
    assert (package / "element.d.ts").read_bytes() == (assets / "ca-embed.d.ts").read_bytes()
    targets = [
        target for one in manifest["exports"].values() if isinstance(one, dict) for target in one.values()
    ]
    for name in (*targets, "README.md", "LICENSE"):
        assert (package / name).is_file()


def test_each_event_has_a_listener(package: Path) -> None:
    """The components know each event that the types have."""
    types = (package / "element.d.ts").read_text()
    events = re.search(r"EVENTS = (\[.*\])", (package / "events.js").read_text())
    assert events is not None
    assert json.loads(events[1]) == re.findall(r"'ca-embed:(\w+)': CustomEvent", types)
    assert "confirmed" in events[1]


def test_types_of_react(consumer: Path) -> None:
    """`tsc` accepts the right uses in JSX and refuses the wrong ones."""
    run(consumer, ROOT / "js/node_modules/typescript/bin/tsc", "--project", "tsconfig.json")


def test_types_of_vue(consumer: Path) -> None:
    """`vue-tsc` accepts the right uses in templates and refuses the wrong ones."""
    run(consumer, "node_modules/vue-tsc/bin/vue-tsc.js", "--project", "tsconfig.vue.json")


def test_types_of_svelte(consumer: Path) -> None:
    """`svelte-check` accepts the right uses in components and refuses the wrong ones."""
    check = ["--tsconfig", "tsconfig.svelte.json", "--fail-on-warnings", "--output", "machine"]
    run(consumer, "node_modules/svelte-check/bin/svelte-check", *check)


def test_bundlers(consumer: Path) -> None:
    """Vite, webpack and esbuild keep the element and its functions."""
    works = "ca-whatsapp-registration function function"
    assert run(consumer, "bundle.mjs").splitlines() == [
        f"{name} {works}" for name in ("vite", "webpack", "esbuild")
    ]


def test_server(consumer: Path) -> None:
    """Without a document, all parts can be imported, and React and Vue render the element."""
    first, *rendered = run(consumer, "server.mjs").splitlines()
    assert first == "undefined ca-embed: open() works only in a browser that supports the element"
    seen = [set(re.findall(r"[\w-]+(?:=\"[^\"]*\")?", tag.partition(">")[0])) for tag in rendered]
    shown = {
        "ca-whatsapp-registration",
        'endpoint="/chatarchitect"',
        'iframe-origin="https://registration.example"',
    }
    more = {'csrf-header="X-CSRFToken"', 'class="card"'}
    in_vue = {"ca-whatsapp-registration", 'endpoint="/x"', 'iframe-origin="https://registration.example"'}
    assert seen == [shown | more | {'autostart=""'}, shown, shown | more | {"autostart"}, in_vue]
