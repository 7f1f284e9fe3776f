"""The fixtures of `ca_embed.testing`, and at the end of a run the matrix: adapters by cases."""

from __future__ import annotations

from ca_embed.testing.pytest_plugin import ca_embed_factory, ca_partner_token, ca_sandbox

__all__ = ["ca_embed_factory", "ca_partner_token", "ca_sandbox"]
