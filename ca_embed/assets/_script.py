"""The bundled JavaScript: its bytes, plain and compressed, and the name and hashes made from them."""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """The file to serve.

    gzipped: the bytes, compressed.
    digest: a short hash of the bytes, for the file's name and ETag.
    integrity: the hash for Subresource Integrity. Browsers check it after they have decompressed.
    """

    body: bytes
    gzipped: bytes
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
    compressed = gzip.compress(body, compresslevel=9, mtime=0)
    return Script(body, compressed, hashlib.sha256(body).hexdigest()[:16], f"sha384-{sha384}")
