"""The bundled JavaScript: its bytes, and the names and hashes that follow from them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """The file to serve. `integrity` is its Subresource Integrity value, `digest` names the bytes."""

    body: bytes
    digest: str
    integrity: str

    @property
    def hashed_name(self) -> str:
        """The name under which the bytes never change."""
        return f"ca-embed.{self.digest}.js"


@cache
def javascript() -> Script:
    """Return the asset that this release ships."""
    body = files("ca_embed").joinpath("assets", "ca-embed.js").read_bytes()
    sha384 = base64.b64encode(hashlib.sha384(body).digest()).decode()
    return Script(body, hashlib.sha256(body).hexdigest()[:16], f"sha384-{sha384}")
