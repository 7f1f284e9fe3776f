"""The package as it is delivered: what the wheel holds, what it asks for, what importing it costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Give the wheel, built from a copy of the sources by the tools that are installed."""
    source = tmp_path_factory.mktemp("source")
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.cfg"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "ca_embed", source / "ca_embed", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "."],
        cwd=source,
        check=True,
    )
    return zipfile.ZipFile(next(source.glob("*.whl")))


def test_wheel_is_complete(wheel: zipfile.ZipFile) -> None:
    """The wheel holds every file of the package, Python or not, and nothing beside it."""
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "ca_embed").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert sources == packed


def test_wheel_asks_for_few_packages(wheel: zipfile.ZipFile) -> None:
    """Whoever installs the bare package gets werkzeug, asgiref, requests with urllib3, and cryptography."""
    metadata_file = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = BytesParser().parsebytes(wheel.read(metadata_file))
    required = {
        requirement.partition(">")[0]
        for requirement in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in requirement
    }

    assert required == {"asgiref", "cryptography", "requests", "urllib3", "werkzeug"}


def test_import_is_light() -> None:
    """Importing ca_embed loads no dependency, no database and no event loop."""
    heavy = {"asgiref", "asyncio", "cryptography", "requests", "sqlite3", "urllib3", "werkzeug"}
    program = "import sys, ca_embed; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT, text=True
    ).stdout.split()

    assert heavy.isdisjoint(loaded)
