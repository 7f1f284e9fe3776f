"""The arguments of Embed are checked once. One error names all problems, and shows no secret."""

from __future__ import annotations

import inspect
import subprocess
import sys
import traceback
from typing import Any

import pytest

from ca_embed import ConfigurationError, Embed
from tests.flow.kit import KEY, NOBODY_LISTENS, PUBLIC_URL, TOKEN, build, closing

LONG = "fake-secret-of-enough-characters"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"base_url": None}, "base_url is missing (environment variable CA_EMBED_BASE_URL)"),
        ({"base_url": ""}, "base_url is missing"),
        ({"base_url": 5}, "base_url must be text"),
        ({"base_url": "http://registration.example"}, "base_url: it must begin with https://"),
        ({"base_url": "registration.example"}, "base_url: it must begin with https://"),
        ({"base_url": "https://user:pw@registration.example"}, "base_url: it holds a user name"),
        ({"base_url": "https://registration.example/?x=1"}, "base_url: it must end with its path"),
        ({"base_url": "https://"}, "base_url: it has no host"),
        ({"public_url": None}, "public_url is missing (environment variable CA_EMBED_PUBLIC_URL)"),
        ({"public_url": "http://crm.example/x"}, "public_url: it must begin with https://"),
        ({"public_url": "http://127.0.0.1.evil.example/"}, "public_url: "),
        ({"public_url": "https://crm.example/x#y"}, "public_url: it must end with its path"),
        ({"partner_token": None}, "partner_token is missing (environment variable CA_EMBED_PARTNER_TOKEN)"),
        ({"partner_token": []}, "partner_token is missing"),
        ({"partner_token": ""}, "partner_token is missing"),
        ({"partner_token": [TOKEN, " "]}, "partner_token[1] is empty or blank"),
        ({"partner_token": "short"}, "partner_token[0] is shorter than 16 characters"),
        ({"partner_token": [TOKEN, TOKEN]}, "partner_token[1] is repeated"),
        ({"partner_token": [TOKEN + "\n"]}, "partner_token[0] begins or ends with white space"),
        ({"partner_token": ["fake token with spaces"]}, "partner_token[0] holds characters"),
        ({"partner_token": ["fake-t\u00f6ken-of-enough"]}, "partner_token[0] holds characters"),
        ({"partner_token": 5}, "partner_token[0] must be text"),
        ({"partner_token": LONG.encode()}, "partner_token[0] must be text"),
        ({"encryption_keys": None}, "encryption_keys is missing"),
        ({"encryption_keys": [""]}, "encryption_keys[0] is empty or blank"),
        ({"encryption_keys": [KEY, "short"]}, "encryption_keys[1] is shorter than 16 characters"),
        ({"encryption_keys": [KEY, KEY]}, "encryption_keys[1] is repeated"),
        ({"encryption_keys": [KEY, TOKEN]}, "encryption_keys[1] is a partner token"),
        ({"encryption_keys": [LONG + "\udcff"]}, "encryption_keys[0] holds an invisible character"),
        ({"storage": None}, "storage is missing (environment variable CA_EMBED_STORAGE)"),
        ({"storage": "nonsense:"}, "storage URL"),
        ({"storage": object()}, "storage object: load(registration_id) is missing"),
        ({"parent_origins": "https://crm.example"}, "parent_origins must be a list"),
        ({"parent_origins": ["https://crm.example/"]}, "parent_origins[0]: it must be scheme://host[:port]"),
        ({"parent_origins": [None]}, "parent_origins[0] must be text"),
        ({"parent_origins": ["*"]}, "parent_origins[0]: "),
        ({"parent_origins": ["null"]}, "parent_origins[0]: "),
        ({"replay_window": 0}, "replay_window must be more than 0"),
        ({"replay_window": -5}, "replay_window must be more than 0"),
        ({"replay_window": float("nan")}, "replay_window must be more than 0"),
        ({"replay_window": 3601}, "replay_window must be more than 0"),
        ({"replay_window": "300"}, "replay_window must be more than 0"),
        ({"replay_window": True}, "replay_window must be more than 0"),
        ({"session_limit": 10}, "session_limit must be None, or (sessions, seconds)"),
        ({"session_limit": (0, 600)}, "session_limit must be None, or (sessions, seconds)"),
        ({"session_limit": (1001, 600)}, "session_limit must be None, or (sessions, seconds)"),
        ({"session_limit": (10, 0)}, "session_limit must be None, or (sessions, seconds)"),
        ({"session_limit": (10, float("nan"))}, "session_limit must be None, or (sessions, seconds)"),
        ({"session_limit": (True, 600)}, "session_limit must be None, or (sessions, seconds)"),
        ({"session_limit": "10"}, "session_limit must be None, or (sessions, seconds)"),
        ({"public_url": "https://crm.example//a"}, "public_url: its path holds an empty segment"),
        ({"public_url": "https://crm.example/a//b"}, "public_url: its path holds an empty segment"),
        ({"public_url": "https://crm.example/%zz"}, "public_url: its path holds"),
        ({"public_url": "https://crm.example/<b>"}, "public_url: its path holds"),
        ({"public_url": "https://crm.example/\u00e9"}, "public_url: its path holds"),
        ({"public_url": "https://crm.example/a/../b"}, "public_url: its path holds . or .."),
        ({"public_url": "https://crm.example/a/%2e%2E"}, "public_url: its path holds . or .."),
        ({"identify": 5}, "identify must be a function"),
        ({"staff": 5}, "staff must be a function"),
        ({"integration": "\ud800"}, "integration holds half of a surrogate pair"),
        ({"lang": 5}, "lang must be text"),
        ({"integration": 5}, "integration must be text"),
        ({"handlers": "later"}, 'handlers must be "request" or "reconcile"'),
    ],
)
def test_a_wrong_argument(arguments: dict[str, Any], words: str) -> None:
    """Each wrong argument is one problem, which names the argument and its place."""
    with pytest.raises(ConfigurationError) as refusal:
        build(**arguments)
    assert words in refusal.value.problems[0]
    assert len({problem.split()[0] for problem in refusal.value.problems}) == 1


def test_a_blank_token_is_one_problem() -> None:
    """A problem with a secret is named once."""
    with pytest.raises(ConfigurationError) as refusal:
        build(partner_token=" ")
    assert refusal.value.problems == ("partner_token[0] is empty or blank",)


SEVERAL = "several values are separated by white space"


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("PARTNER_TOKEN", f"{TOKEN},{LONG}", "partner_token[0] holds a comma"),
        ("PARTNER_TOKEN", f"{TOKEN}, {LONG}", "partner_token[0] holds a comma"),
        ("PARTNER_TOKEN", f"{LONG} {TOKEN};short", "partner_token[1] holds a semicolon"),
        ("ENCRYPTION_KEYS", f"{KEY};{LONG}", "encryption_keys[0] holds a semicolon"),
        ("ENCRYPTION_KEYS", f"{KEY} ,{LONG}", "encryption_keys[1] holds a comma"),
        ("ENCRYPTION_KEYS", f"{KEY},", "encryption_keys[0] holds a comma"),
        ("ENCRYPTION_KEYS", "a,b", "encryption_keys[0] holds a comma"),
        ("PARENT_ORIGINS", "https://a.example,https://b.example", "parent_origins[0] holds a comma"),
        ("PARENT_ORIGINS", "https://a.example; https://b.example", "parent_origins[0] holds a semicolon"),
    ],
)
def test_a_wrong_separator_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, problem: str
) -> None:
    """A comma or semicolon is one problem, which names the right separator and never the value."""
    for name, value in {
        "BASE_URL": NOBODY_LISTENS,
        "PARTNER_TOKEN": TOKEN,
        "PUBLIC_URL": PUBLIC_URL,
        "STORAGE": "memory:",
        "ENCRYPTION_KEYS": KEY,
        variable: text,
    }.items():
        monkeypatch.setenv(f"CA_EMBED_{name}", value)
    with pytest.raises(ConfigurationError) as refusal:
        Embed.from_env()
    (only,) = refusal.value.problems
    assert only.startswith(problem)
    assert SEVERAL in only
    assert not any(secret in only for secret in (TOKEN, KEY, LONG, "short"))


@pytest.mark.parametrize("separator", [",", ", ", ";", " ;\n"])
@pytest.mark.parametrize("argument", ["partner_token", "encryption_keys"])
def test_one_text_that_looks_like_several(argument: str, separator: str) -> None:
    """Embed refuses a text that looks like several tokens or keys, and names the list."""
    with pytest.raises(ConfigurationError) as refusal:
        build(**{argument: f"{LONG}{separator}fake-other-secret-of-enough"})
    (only,) = refusal.value.problems
    assert only.startswith(f"{argument}[0] holds a ")
    assert SEVERAL in only
    assert "a list in Python" in only
    assert "fake" not in only


@pytest.mark.parametrize("key", [f"{LONG},x", [f"{LONG},{KEY}"], [f"{LONG};{KEY}", KEY]], ids=str)
def test_a_key_with_a_comma(key: Any) -> None:
    """A comma may be part of a key: alone if the parts are no keys, and in a list."""
    with closing(embed := build(encryption_keys=key)):
        assert embed._core.settings.keys == ((key,) if isinstance(key, str) else tuple(key))


@pytest.mark.parametrize("path", ["", "/", "/a/b", "/a.b-c_d~e", "/caf%C3%A9", "/a:b@c,d;e=f/(1)"])
def test_a_public_url_with_a_path(path: str) -> None:
    """Any path that may be in a URL is accepted."""
    with closing(embed := build(public_url=f"https://crm.example{path}")):
        assert embed._core.settings.webhook_url == f"https://crm.example{path.rstrip('/')}/webhook"


def test_all_problems_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """from_env names everything that is missing or wrong in one error, and shows no secret's value."""
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", f"fake-short {LONG} {LONG}")
    monkeypatch.setenv("CA_EMBED_ENCRYPTION_KEYS", f"{LONG} tiny-fake-key")
    monkeypatch.setenv("CA_EMBED_PUBLIC_URL", "https://admin:fake-password@crm.example/")
    monkeypatch.setenv("CA_EMBED_STORAGE", "weird://user:fake-password@host/db")
    monkeypatch.setenv("CA_EMBED_PARENT_ORIGINS", "https://a.example ftp://b.example")
    with pytest.raises(ConfigurationError) as refusal:
        Embed.from_env()
    shown = "".join(traceback.format_exception(refusal.value))
    for name in (
        "base_url is missing (environment variable CA_EMBED_BASE_URL)",
        "public_url: it holds a user name",
        "partner_token[0] is shorter",
        "partner_token[2] is repeated",
        "encryption_keys[0] is a partner token",
        "encryption_keys[1] is shorter",
        "parent_origins[1]: ",
        "storage URL",
    ):
        assert name in shown
    for secret in ("fake-short", LONG, "tiny-fake-key", "fake-password"):
        assert secret not in shown


def test_from_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """from_env reads every variable and splits several values at white space.

    Arguments override variables.
    """
    for name, value in {
        "BASE_URL": NOBODY_LISTENS + "/",
        "PARTNER_TOKEN": f" {TOKEN}\n {LONG}\t",
        "PUBLIC_URL": PUBLIC_URL + "/",
        "STORAGE": f"sqlite:///{tmp_path}/r.db",
        "ENCRYPTION_KEYS": KEY,
        "PARENT_ORIGINS": "https://b.example https://A.example:443",
        "INTEGRATION": "My CRM",
        "LANG": "pt-BR",
    }.items():
        monkeypatch.setenv(f"CA_EMBED_{name}", value)
    with closing(embed := Embed.from_env(integration="Other")):
        settings = embed._core.settings
        assert settings.base_url == NOBODY_LISTENS
        assert settings.webhook_url == f"{PUBLIC_URL}/webhook"
        assert settings.tokens == (TOKEN, LONG)
        assert settings.parent_origins == ("https://b.example", "https://a.example")
        assert settings.allowed_origins == {*settings.parent_origins, "https://crm.example"}
        assert (settings.integration, settings.lang) == ("Other", "pt")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000", "localhost:8000", "LOCALHOST:8000"])
def test_http_on_this_machine(host: str) -> None:
    """Plain http is accepted for loopback hosts."""
    with closing(embed := build(base_url=f"http://{host}", public_url=f"http://{host}/ca")):
        assert embed._core.settings.iframe_origin == f"http://{host.lower()}"


def test_parent_origins_default(sandbox: Any) -> None:
    """Without parent_origins, or with an empty list, the mount's own origin is the only one."""
    for origins in (None, [], ()):
        with closing(embed := build(parent_origins=origins)):
            assert embed._core.settings.allowed_origins == {"https://crm.example"}


def test_every_argument_is_by_name() -> None:
    """Embed takes exactly the promised arguments, and a clock for tests. All are keyword arguments."""
    parameters = inspect.signature(Embed).parameters
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in parameters.values())
    assert set(parameters) == {
        "audit",
        "staff",
        "disconnectable",
        "event_retention",
        "base_url",
        "partner_token",
        "public_url",
        "storage",
        "encryption_keys",
        "identify",
        "parent_origins",
        "integration",
        "lang",
        "replay_window",
        "session_limit",
        "handlers",
        "login_url",
        "return_url",
        "appearance",
        "namespace",
        "clock",
    }


HEAVY = {"werkzeug", "requests", "urllib3", "cryptography", "asgiref", "sqlite3", "asyncio", "ssl"}


@pytest.mark.parametrize("statement", ["import ca_embed", "import ca_embed.storage"])
def test_importing_is_light(statement: str) -> None:
    """Importing loads no HTTP, crypto or database library, and not even asyncio."""
    program = f"import sys; {statement}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not HEAVY & set(loaded.stdout.split())


def test_every_public_name_is_there() -> None:
    """Each name in __all__ can be imported. An unknown one raises AttributeError."""
    import ca_embed

    for name in ca_embed.__all__:
        assert getattr(ca_embed, name) is not None
        assert name in dir(ca_embed)
    with pytest.raises(AttributeError, match="nonsense"):
        ca_embed.nonsense  # noqa: B018
