"""Tools for the tests of your application, adapter or storage. Needs the extra `testing`.

For an application:

- `signed_webhook()`: the headers and the body of a completion webhook.
- The fixtures `ca_sandbox`, `ca_partner_token` and `ca_embed_factory`; pytest finds them by itself.

For an adapter of yours:

- `AdapterContract`: the test suite of an adapter. It gives a `Site` to your method `serve()`.
- `serve_wsgi()`, `serve_asgi()`, `serve_on_loop()`: servers for that method.

For a deployment of yours:

- `DeliveryRecorder`, `check_deliveries()`, `DeliveryReport`: record deliveries and handler runs while
    processes are killed, and check that what was acknowledged is stored and handed over.

For a storage of yours:

- `StorageContract`: the test suite of a storage within one process.
- `DurableStorageContract`: the same, and all that concerns processes, crashes and failures.
- `HistoryContract`: lets processes use the storage while faults happen, and checks all that it returned.
    `Fault` is what may happen. `record_history()` does the same in a script, for as long as you like.
- `RecordedStorage`, `check_history()`, `HistoryReport`: the two halves of it, for calls of your own.
- `UpgradeContract`: the test suite for the data of an older release, which `write_snapshot()` wrote.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ca_embed._extras import extra

with extra("testing", user=__name__):
    import pytest

if TYPE_CHECKING:
    from ca_embed.testing._adapter_contract import AdapterContract
    from ca_embed.testing._adapter_host import Site
    from ca_embed.testing._durable_storage_contract import DurableStorageContract
    from ca_embed.testing._history.check import HistoryReport, check_history
    from ca_embed.testing._history.contract import HistoryContract
    from ca_embed.testing._history.deliveries import DeliveryRecorder, DeliveryReport, check_deliveries
    from ca_embed.testing._history.recorder import Fault, record_history
    from ca_embed.testing._history.recording import RecordedStorage
    from ca_embed.testing._servers import serve_asgi, serve_on_loop, serve_wsgi
    from ca_embed.testing._storage_contract import StorageContract
    from ca_embed.testing._upgrade_contract import UpgradeContract, write_snapshot
    from ca_embed.testing._webhooks import signed_webhook

__all__ = [
    "AdapterContract",
    "DeliveryRecorder",
    "DeliveryReport",
    "DurableStorageContract",
    "Fault",
    "HistoryContract",
    "HistoryReport",
    "RecordedStorage",
    "Site",
    "StorageContract",
    "UpgradeContract",
    "check_deliveries",
    "check_history",
    "record_history",
    "serve_asgi",
    "serve_on_loop",
    "serve_wsgi",
    "signed_webhook",
    "write_snapshot",
]

_HOMES = {
    "AdapterContract": "_adapter_contract",
    "DeliveryRecorder": "_history.deliveries",
    "DeliveryReport": "_history.deliveries",
    "DurableStorageContract": "_durable_storage_contract",
    "Fault": "_history.recorder",
    "HistoryContract": "_history.contract",
    "HistoryReport": "_history.check",
    "RecordedStorage": "_history.recording",
    "Site": "_adapter_host",
    "StorageContract": "_storage_contract",
    "UpgradeContract": "_upgrade_contract",
    "check_deliveries": "_history.deliveries",
    "check_history": "_history.check",
    "record_history": "_history.recorder",
    "serve_asgi": "_servers",
    "serve_on_loop": "_servers",
    "serve_wsgi": "_servers",
    "signed_webhook": "_webhooks",
    "write_snapshot": "_upgrade_contract",
}

for _home in (
    "_adapter_contract",
    "_adapter_http_contract",
    "_durable_storage_contract",
    "_storage_contract",
    "_upgrade_contract",
):
    pytest.register_assert_rewrite(f"{__name__}.{_home}")


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562): every run of pytest imports this package."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
