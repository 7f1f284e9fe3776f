"""What the README and the pages say, held to the code; docs/python.md has tests of its own."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

from ca_embed import _registration as registration
from ca_embed import errors
from ca_embed._given import SHORTEST_SECRET
from ca_embed._registration import Outcome

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
README, ARCHITECTURE, OPERATIONS = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/architecture.md", "docs/operations.md")
)
PACKAGE = ROOT / "ca_embed"
ROOMS = sorted(path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())
# What serves a registration; its commands, its stand-in for ChatArchitect and its suites log nothing.
MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] not in ("_cli", "adapters", "sandbox", "testing")
]
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg")


# --- links ---------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are made of their words."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """Each link to a file of ours leads to one, and each anchor to a heading in it."""
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


# --- the README ----------------------------------------------------------------------------------


def test_install() -> None:
    """The quick start installs the package by its name, and names extras that there are."""
    (name, extras) = re.findall(r"^pip install '?([\w-]+)(?:\[([\w,]+)\])?", README, re.MULTILINE)[0]
    assert name == SETUP["metadata"]["name"]
    assert set(extras.split(",")) <= set(SETUP["options.extras_require"])


@pytest.mark.parametrize("variable", ["CA_EMBED_PARTNER_TOKEN", "CA_EMBED_ENCRYPTION_KEYS"])
def test_length_of_secrets(variable: str) -> None:
    """The table says how long a secret must be."""
    (row,) = re.findall(rf"^\| `{variable}` \|(.*)\|$", README, re.MULTILINE)
    assert f"at least {SHORTEST_SECRET} characters" in row


def test_the_first_screen() -> None:
    """Both commands, which show it and prove it, are within the first 24 lines."""
    lines = README.splitlines()[:24]
    assert {line.partition("  ")[0] for line in lines} >= {"make demo", "make test"}


# --- docs/architecture.md ------------------------------------------------------------------------


@pytest.mark.parametrize("room", [one.name for one in ROOMS if not one.name.startswith("__")])
def test_rooms(room: str) -> None:
    """Each module and each folder of the package is in the table."""
    rooms = re.findall(r"^\| (`[^|]+) \|", ARCHITECTURE.partition("## The rooms")[2], re.MULTILINE)
    assert f"`{room}`" in " ".join(rooms) or f"`{room}/`" in " ".join(rooms)


def test_way_of_a_webhook() -> None:
    """The way of a webhook has five files, each with the class or function that the table names first."""
    way = ARCHITECTURE.partition("## Follow a webhook")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", way, re.MULTILINE)
    assert len(rows) == 5
    for files, what in rows:
        texts = [(PACKAGE / name).read_text(encoding="utf-8") for name in re.findall(r"`([\w./]+)`", files)]
        name = re.findall(r"`(\w+)`", what)[0]
        assert any(re.search(rf"^ *(def|class) {name}\b", text, re.MULTILINE) for text in texts), name


def test_files_of_http() -> None:
    """Each file of the folder http is in its table, and each file in the table is there."""
    table = ARCHITECTURE.partition("### Inside http")[2].partition("\n## ")[0]
    cells = " ".join(re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE))
    assert set(re.findall(r"`(\w+\.py)`", cells)) == {
        path.name for path in (PACKAGE / "http").glob("*.py") if path.stem != "__init__"
    }


# --- docs/operations.md --------------------------------------------------------------------------

# What a row of the log's table is about: the line's first word, or "..." for any, and a reason.
Line = tuple[str, str]


def described() -> set[Line]:
    """Return the lines of the log that the table has."""
    table = OPERATIONS.partition("## What the log says")[2].partition("\n## ")[0]
    lines: set[Line] = set()
    for cell in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE):
        source, *reasons = re.findall(r"[\w.-]+", cell.partition(" of ")[0].replace("reason=", ""))
        lines |= {(source, reason) for reason in reasons}
    return lines


def written_out() -> set[Line]:
    """Return the lines of the log that stand in the code as they are."""
    texts = [path.read_text(encoding="utf-8") for path in MODULES]
    return {line for text in texts for line in re.findall(r'"([\w-]+) reason=(\w+)', text)}


def put_together() -> set[str]:
    """Return the reasons that the code writes into lines whose words it finds elsewhere."""
    texts = [path.read_text(encoding="utf-8") for path in MODULES]
    named = {reason for text in texts for reason in re.findall(r'\breason="(\w+)"', text)}
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    requests = [one for one in classes if issubclass(one, errors.RequestError)]
    partner = {one.code for one in classes if issubclass(one, errors.PartnerError)} - {
        errors.PartnerError.code
    }
    defaults = {one._default_reason for one in requests} - {errors.RequestError._default_reason}
    codes = partner | {errors.StorageUnavailable.code, errors.InvalidArgument.code}
    return named | defaults | codes | {outcome.value for outcome in Outcome}


def test_log_table() -> None:
    """The table of the log has each reason that the code gives, and no other."""
    assert {reason for _, reason in described()} == put_together() | {reason for _, reason in written_out()}


def test_log_table_has_the_sources() -> None:
    """Each line is in the table under its first word, or under the dots for any."""
    outcomes = {(source, one.value) for source in ("webhook", "result") for one in Outcome}
    outcomes.remove(("result", Outcome.MISMATCHED.value))  # only a webhook names a user
    lines = written_out() | outcomes
    assert {line for line in lines if not {line, ("...", line[1])} & described()} == set()


def test_grace_of_old_tokens() -> None:
    """The page tells how long a session is asked about after it has expired."""
    section = OPERATIONS.partition("## Changing the partner token")[2].partition("\n## ")[0]
    hours = registration.ANSWERS_AFTER_EXPIRY * registration.LAST_PAUSE / 3600
    assert hours == 2
    assert "two hours more" in " ".join(section.split())
