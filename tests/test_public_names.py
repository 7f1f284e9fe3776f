"""The public names: each is described in a page, and each name in a page is public."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import ca_embed
from ca_embed import Embed, PartnerClient, errors
from ca_embed.sandbox import Sandbox
from tests.markdown import code

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ca_embed"
TEXTS = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}
TEXTS["README"] = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = {page: code(text) for page, text in TEXTS.items()}

FRAMEWORKS = [path.stem for path in (PACKAGE / "adapters").glob("[a-z]*.py")]

# Each public module, and the pages that describe its names.
MODULES = {
    "ca_embed": ["python"],
    "ca_embed.adapters": ["adapters"],
    "ca_embed.adapters.django": ["adapters"],
    **{f"ca_embed.adapters.{framework}": ["adapters"] for framework in FRAMEWORKS},
    "ca_embed.asgi": ["adapters"],
    "ca_embed.assets": ["page"],
    "ca_embed.embed": ["python"],
    "ca_embed.errors": ["python"],
    "ca_embed.http": ["adapters"],
    "ca_embed.sandbox": ["python"],
    "ca_embed.storage": ["storage"],
    "ca_embed.testing": ["adapters", "python", "storage"],
    "ca_embed.wsgi": ["adapters"],
}

# Django finds these modules, and what is in them, by their names.
FOUND_BY_DJANGO = {
    f"ca_embed.adapters.django.{name}"
    for name in (
        "admin",
        "apps",
        "management",
        "management.commands",
        "management.commands.chatarchitect",
        "migrations",
        "migrations.0001_initial",
        "models",
        "templatetags",
        "templatetags.chatarchitect",
        "urls",
    )
}


def public(names: Any) -> set[str]:
    """Those that do not begin with an underscore."""
    return {name for name in names if not name.startswith("_")}


def module_name(path: Path) -> str:
    """The dotted path of a module's file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def listed(module: str) -> list[str]:
    """The `__all__` of a module, which must be written out: type checkers do not compute it."""
    for statement in ast.parse(FILES[module].read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign([ast.Name("__all__")], value) | ast.AnnAssign(ast.Name("__all__"), _, value):
                names: list[str] = ast.literal_eval(value)
                return names
    raise AssertionError(f"{module} has no __all__")


LISTED = {module: listed(module) for module in MODULES}


# --- modules and their names ---------------------------------------------------------------------


def test_public_modules() -> None:
    """The public modules are those without an underscore in front of any part of their path."""
    found = {name for name in FILES if not re.search(r"\b_", name)}
    assert found == set(MODULES) | FOUND_BY_DJANGO


@pytest.mark.filterwarnings("ignore:(Deprecated call to .)?pkg_resources")  # under Pyramid
@pytest.mark.parametrize("module", MODULES)
def test_each_name_is_there(module: str) -> None:
    """Each name in `__all__` can be imported, and none is listed twice or private."""
    names = LISTED[module]
    assert len(set(names)) == len(names)
    assert set(names) == public(names) | ({"__version__"} & set(names))
    imported = import_module(module)
    assert [name for name in names if not hasattr(imported, name)] == []


@pytest.mark.parametrize("module", MODULES)
def test_each_name_is_described(module: str) -> None:
    """Each name in `__all__` is in the code of a page that describes its module."""
    words = {word for page in MODULES[module] for word in re.findall(r"\w+", CODE[page])}
    assert set(LISTED[module]) - words == set()


def imports(text: str) -> set[tuple[str, str]]:
    """The names that a text imports from us, with their modules."""
    found = re.findall(r"\bfrom (ca_embed[\w.]*) import (?:\(([^)]*)\)|([^\n`]*))", text)
    names = ((module, re.sub(r"#.*| as \w+", "", inside or line)) for module, inside, line in found)
    return {(module, name) for module, line in names for name in re.findall(r"\w+", line)}


def mentions(text: str) -> set[str]:
    """The dotted paths that begin with our name; `/ca_embed.db` is a file."""
    return set(re.findall(r"(?<![\w./-])ca_embed(?:\.\w+)+", text))


def is_public(path: str) -> bool:
    """Tell whether a dotted path names a public module, or a public name of one, or what that has."""
    if path in MODULES or path in FOUND_BY_DJANGO:
        return True
    module, _, name = path.rpartition(".")
    return name in LISTED.get(module, ()) or (module.count(".") > 1 and is_public(module))


@pytest.mark.parametrize("page", CODE)
def test_each_name_in_a_page_is_public(page: str) -> None:
    """Each name that a page imports or mentions with its module is public."""
    paths = {f"{module}.{name}" for module, name in imports(CODE[page])} | mentions(CODE[page])
    assert {path for path in paths if not is_public(path)} == set()


def test_each_adapter_in_the_table_is_public() -> None:
    """The table of adapters calls functions and classes that the adapters list."""
    calls = re.findall(r"\b(\w+)\.(\w+)\((?:app, )?embed\b", CODE["adapters"])
    ours = {(framework, name) for framework, name in calls if framework in FRAMEWORKS}
    assert {framework for framework, _ in ours} == set(FRAMEWORKS)
    assert {(at, name) for at, name in ours if name not in LISTED[f"ca_embed.adapters.{at}"]} == set()


# --- methods and attributes ----------------------------------------------------------------------


def attributes(cell: str) -> set[str]:
    """The names in backticks."""
    return set(re.findall(r"`(\w+)`", cell))


def test_what_an_embed_offers(ca_embed_factory: Any) -> None:
    """What an Embed has is on its page, or is the awaitable twin of a method; and the other way round."""
    offered = public(dir(ca_embed_factory()))
    twins = {name for name in offered if inspect.iscoroutinefunction(getattr(Embed, name, None))}
    assert {name[1:] for name in twins} < offered
    uses = {page: set(re.findall(r"(?<![\w-])[Ee]mbed\.(?!py\b)(\w+)", text)) for page, text in CODE.items()}
    assert uses["python"] - twins == offered - twins
    assert {page: names - offered for page, names in uses.items() if names - offered} == {}


def test_what_a_partner_client_offers() -> None:
    """Each method of PartnerClient is on the page, and each on the page is one of its methods."""
    assert set(re.findall(r"\bpartner\.(\w+)", CODE["python"])) == public(dir(PartnerClient))


def test_what_a_sandbox_offers() -> None:
    """The table has each method and attribute of Sandbox, and Sandbox has each in the table."""
    table = TEXTS["python"].partition("| a `Sandbox` has |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    assert set(re.findall(r"`(\w+)(?:\(\))?`", " ".join(cells))) == public(dir(Sandbox()))


RECORDS = {
    name: attributes(fields)
    for name, fields in re.findall(
        r"^\| `(\w+)` \|[^|]*\|([^|]*)\|[^|]*\|$",
        TEXTS["python"].partition("## What the calls return\n")[2].partition("\n## ")[0],
        re.MULTILINE,
    )
}


def test_records() -> None:
    """The table has each public class that a call returns."""
    returned = public(LISTED["ca_embed"]) - {"Embed", "PartnerClient", "Status"} - set(errors.__all__)
    assert set(RECORDS) == {name for name in returned if isinstance(getattr(ca_embed, name), type)}


@pytest.mark.parametrize("record", RECORDS)
def test_fields_of_records(record: str) -> None:
    """The table has each attribute of the record, and the record has each attribute in the table."""
    assert RECORDS[record] == public(dir(getattr(ca_embed, record)))


@pytest.mark.parametrize("record", RECORDS)
def test_fields_in_programs(record: str) -> None:
    """The programs of the page read no attribute that the record does not have."""
    read = set(re.findall(rf"(?<![\w./]){record.lower()}\.(\w+)", CODE["python"]))
    assert read <= RECORDS[record]


def test_attributes_of_errors() -> None:
    """Each public attribute of an error is in the section on errors."""
    section = TEXTS["python"].partition("## Errors\n")[2].partition("\n## ")[0]
    classes = [getattr(errors, name) for name in errors.__all__]
    of_classes = {name for one in classes for name in public(dir(one))} - public(dir(ValueError))
    of_instances = set(re.findall(r"\bself\.([a-z]\w*): ", inspect.getsource(errors)))
    assert of_classes | of_instances <= set(re.findall(r"\w+", code(section)))
