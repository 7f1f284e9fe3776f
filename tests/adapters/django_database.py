"""A database of a Django project, in this process or in a child process of the contract suites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import django
import pymysql
from django.conf import settings
from django.db import connections
from sqlalchemy import make_url

from tests.storage.local_servers import LocalServer

ALIAS = "server"
TABLE = "ca_embed_registration"

pymysql.version_info = (2, 2, 1, "final", 0)  # what Django asks of the driver that it stands in for
pymysql.install_as_MySQLdb()

_ENGINES = {"postgres": "postgresql", "pgbouncer": "postgresql", "mariadbd": "mysql"}


def on_server(server: LocalServer, **options: Any) -> dict[str, Any]:
    """Return the entry of `DATABASES` for a server."""
    place = make_url(server.url)
    engine = _ENGINES.get(server.program, "mysql")
    if engine == "mysql":
        options["ssl_disabled"] = True  # PyMySQL reads all certificates of the machine at each connection
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": place.database,
        "USER": place.username,
        "PASSWORD": place.password,
        "HOST": place.host,
        "PORT": place.port,
        "OPTIONS": options,
        "CONN_MAX_AGE": None,  # the connection of the test's thread stays open, as in a request
    }


def in_file(path: Path, **options: Any) -> dict[str, Any]:
    """Return the entry of `DATABASES` for a SQLite file."""
    engine = "django.db.backends.sqlite3"
    return {"ENGINE": engine, "NAME": str(path), "OPTIONS": options, "CONN_MAX_AGE": None}


def use(database: dict[str, Any]) -> None:
    """Let the alias name this database. Set Django up if it is not."""
    if not settings.configured:
        settings.configure(
            CA_EMBED={}, DATABASES={}, INSTALLED_APPS=["ca_embed.adapters.django"], LOGGING_CONFIG=None
        )
        django.setup()
    connections.settings[ALIAS] = connections.configure_settings({"default": database})["default"]


def forget() -> None:
    """Close this thread's connection. The alias names nothing any more."""
    connections[ALIAS].close()
    del connections[ALIAS], connections.settings[ALIAS]


def open_storage(database: dict[str, Any]) -> Any:
    """Open the storage in this database."""
    use(database)
    from ca_embed.adapters.django._storage import DjangoStorage  # needs the settings

    return DjangoStorage(using=ALIAS)
