"""The package as it is delivered: what sdist and wheel hold, what it asks for, what importing it costs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from email.parser import BytesParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What the repository holds and the sdist does not.
LEFT_OUT = {
    ".ci/run": "runs the tests of the repository",
    ".github/dependabot.yml": "is read by GitHub alone",
    ".github/workflows/test.yml": "is read by GitHub alone",
    ".gitignore": "is read by git alone",
    ".pre-commit-config.yaml": "is for commits, which need the repository",
    "js/.gitignore": "is read by git alone",
    "npm/.gitignore": "is read by git alone",
}
# What setuptools adds to the sdist.
ADDED = re.compile(r"PKG-INFO|ca_embed\.egg-info/.*")

# What tools and demos leave behind in a checkout.
LITTER = (
    ".hypothesis/litter",
    ".mypy_cache/litter",
    ".pytest_cache/litter",
    ".ruff_cache/litter",
    "build/litter",
    "ca_embed/__pycache__/litter.pyc",
    "examples/litter.db",
    "examples/litter.db-wal",
    "js/.stamp-litter",
    "js/node_modules/litter/index.js",
    "npm/node_modules/litter/index.js",
    "tests/__pycache__/litter.pyc",
    "tests/cli/__pycache__/litter.pyc",
    "tools/__pycache__/litter.pyc",
)

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def files() -> set[str]:
    """The files of the checkout that git knows or would add."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git repository")
    # The checkout may belong to another user, as it does in the containers of CI.
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def checkout(files: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, with litter in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    for name in LITTER:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).touch()
    return copy


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, built by the setuptools that is installed, and unpacked."""
    built = tmp_path_factory.mktemp("sdist")
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(built)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=checkout, capture_output=True, check=True)
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(built, filter="data")
    return built / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Iterator[zipfile.ZipFile]:
    """The wheel that is built from the checkout."""
    with zipfile.ZipFile(_build_wheel(checkout)) as packed:
        yield packed


def _build_wheel(source: Path) -> Path:
    """Build it by the tools that are installed, without asking an index."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "."],
        cwd=source,
        check=True,
    )
    (built,) = source.glob("*.whl")
    return built


def test_sdist_is_complete(sdist: Path, files: set[str]) -> None:
    """The sdist holds every file of the repository but those that are left out on purpose, and no litter."""
    packed = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}

    assert LEFT_OUT.keys() <= files
    assert {name for name in packed if not ADDED.fullmatch(name)} == files - LEFT_OUT.keys()


def test_wheel_is_complete(wheel: zipfile.ZipFile, files: set[str]) -> None:
    """The wheel holds every file of the package, Python or not, and nothing beside it."""
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == {name for name in files if name.startswith("ca_embed/")}


def test_wheel_of_the_sdist_is_the_same(wheel: zipfile.ZipFile, sdist: Path) -> None:
    """Whether it is built from the checkout or from the sdist, the wheel holds the same files."""
    with zipfile.ZipFile(_build_wheel(sdist)) as packed:
        assert sorted(packed.namelist()) == sorted(wheel.namelist())


def test_wheel_asks_for_few_packages(wheel: zipfile.ZipFile) -> None:
    """The bare package needs these packages and no others."""
    metadata_file = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = BytesParser().parsebytes(wheel.read(metadata_file))
    required = {
        requirement.partition(">")[0]
        for requirement in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in requirement
    }

    assert required == {"asgiref", "cryptography", "idna", "requests", "urllib3", "werkzeug"}


def test_dependencies_are_counted() -> None:
    """CONTRIBUTING.md says how many dependencies there are at run time."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    count = len(setup["options"]["install_requires"].split("\n")[1:])
    contributing = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())

    assert f"There are {NUMBERS[count]} dependencies at run time" in contributing


def test_import_is_light() -> None:
    """Importing ca_embed loads no dependency, no database and no event loop."""
    heavy = {"asgiref", "asyncio", "cryptography", "idna", "requests", "sqlite3", "urllib3", "werkzeug"}
    program = "import sys, ca_embed; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT, text=True
    ).stdout.split()

    assert heavy.isdisjoint(loaded)
