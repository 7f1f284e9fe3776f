"""ca_embed: WhatsApp registration with ChatArchitect, inside any Python web application.

    from ca_embed import Embed

The names below are imported when they are first used, so that `import ca_embed` costs little.
"""

# Type checkers know this name. Importing it from `typing` would cost 10 ms of a start of 15 ms.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ca_embed._events import Event as Event
    from ca_embed._host.audit import AuditEntry as AuditEntry
    from ca_embed._host.page_headers import check_host_headers as check_host_headers
    from ca_embed._partner.client import PartnerClient as PartnerClient
    from ca_embed._partner.client import Result as Result
    from ca_embed._partner.client import Retry as Retry
    from ca_embed._reconciliation import Reconciliation as Reconciliation
    from ca_embed._registration import Credentials as Credentials
    from ca_embed._registration import HandlerStatus as HandlerStatus
    from ca_embed._registration import Registration as Registration
    from ca_embed._registration import Session as Session
    from ca_embed._registration import Status as Status
    from ca_embed._vault.keyring import generate_key as generate_key
    from ca_embed._vault.maintenance import Rotation as Rotation
    from ca_embed._version import __version__ as __version__
    from ca_embed.embed import Embed as Embed
    from ca_embed.errors import ConfigurationError as ConfigurationError
    from ca_embed.errors import EmbedError as EmbedError
    from ca_embed.errors import InvalidArgument as InvalidArgument
    from ca_embed.errors import NotFound as NotFound
    from ca_embed.errors import PartnerError as PartnerError
    from ca_embed.errors import PartnerRejected as PartnerRejected
    from ca_embed.errors import PartnerTimeout as PartnerTimeout
    from ca_embed.errors import PartnerUnavailable as PartnerUnavailable
    from ca_embed.errors import StorageUnavailable as StorageUnavailable

__all__ = [
    "AuditEntry",
    "ConfigurationError",
    "Credentials",
    "Embed",
    "EmbedError",
    "Event",
    "HandlerStatus",
    "InvalidArgument",
    "NotFound",
    "PartnerClient",
    "PartnerError",
    "PartnerRejected",
    "PartnerTimeout",
    "PartnerUnavailable",
    "Reconciliation",
    "Registration",
    "Result",
    "Retry",
    "Rotation",
    "Session",
    "Status",
    "StorageUnavailable",
    "__version__",
    "check_host_headers",
    "generate_key",
]

_HOMES = {
    "__version__": "_version",
    "Embed": "embed",
    "ConfigurationError": "errors",
    "EmbedError": "errors",
    "InvalidArgument": "errors",
    "NotFound": "errors",
    "PartnerError": "errors",
    "PartnerRejected": "errors",
    "PartnerTimeout": "errors",
    "PartnerUnavailable": "errors",
    "StorageUnavailable": "errors",
    "Event": "_events",
    "AuditEntry": "_host.audit",
    "check_host_headers": "_host.page_headers",
    "generate_key": "_vault.keyring",
    "Rotation": "_vault.maintenance",
    "PartnerClient": "_partner.client",
    "Result": "_partner.client",
    "Retry": "_partner.client",
    "Reconciliation": "_reconciliation",
    "Credentials": "_registration",
    "HandlerStatus": "_registration",
    "Registration": "_registration",
    "Session": "_registration",
    "Status": "_registration",
}


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
