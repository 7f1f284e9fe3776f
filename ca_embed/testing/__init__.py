"""For the tests of your application, and of what you write for ca_embed. Needs the extra `testing`.

    from ca_embed.testing import signed_webhook      # deliveries, for your own tests
    from ca_embed.testing import AdapterContract     # everything that an adapter must get right
    from ca_embed.testing import StorageContract     # ... and a storage

The fixtures `ca_sandbox`, `ca_partner_token` and `ca_embed_factory` are there wherever ca_embed and
pytest are installed, see `ca_embed.testing._pytest_plugin`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ca_embed.testing._adapter_contract import AdapterContract
    from ca_embed.testing._adapter_host import Site
    from ca_embed.testing._durable_storage_contract import DurableStorageContract
    from ca_embed.testing._servers import serve_asgi, serve_on_loop, serve_wsgi
    from ca_embed.testing._storage_contract import StorageContract
    from ca_embed.testing._upgrade_contract import UpgradeContract, leave_heirlooms
    from ca_embed.testing._webhooks import signed_webhook

__all__ = [
    "AdapterContract",
    "DurableStorageContract",
    "Site",
    "StorageContract",
    "UpgradeContract",
    "leave_heirlooms",
    "serve_asgi",
    "serve_on_loop",
    "serve_wsgi",
    "signed_webhook",
]

_HOMES = {
    "AdapterContract": "_adapter_contract",
    "DurableStorageContract": "_durable_storage_contract",
    "Site": "_adapter_host",
    "StorageContract": "_storage_contract",
    "UpgradeContract": "_upgrade_contract",
    "leave_heirlooms": "_upgrade_contract",
    "serve_asgi": "_servers",
    "serve_on_loop": "_servers",
    "serve_wsgi": "_servers",
    "signed_webhook": "_webhooks",
}

for _home in ("_adapter_contract", "_durable_storage_contract", "_storage_contract", "_upgrade_contract"):
    pytest.register_assert_rewrite(f"{__name__}.{_home}")


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562): the fixtures are loaded into every run of pytest."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
