"""The bundled JavaScript: its bytes, and the name and hashes that are made from them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """The file to serve.

    digest: a short hash of the bytes, for the file's name and ETag.
    integrity: the hash for Subresource Integrity.
    """

    body: bytes
    digest: str
    integrity: str

    @property
    def hashed_name(self) -> str:
        """The file's name. It holds the digest, so the bytes under it never change."""
        return f"ca-embed.{self.digest}.js"


@cache
def javascript() -> Script:
    """Return the script of this release."""
    body = files("ca_embed").joinpath("assets", "ca-embed.js").read_bytes()
    sha384 = base64.b64encode(hashlib.sha384(body).digest()).decode()
    return Script(body, hashlib.sha256(body).hexdigest()[:16], f"sha384-{sha384}")
