"""A local stand-in for ChatArchitect: its Partner API, its registration page and its webhooks.

It follows ChatArchitect's "Partner API and Embed Integration Guide" to the letter, and shares no
code with the rest of ca_embed: it is the other party. It keeps everything in memory.

    with Sandbox() as sandbox:
        embed = Embed(base_url=sandbox.base_url, partner_token=sandbox.partner_token, ...)
        session = embed.create_session("user_456")
        sandbox.complete(session.registration_id)

A person walks through the page at `iframe_url`; `<base_url>/sandbox` shows what happened.
"""

from __future__ import annotations

from ca_embed.sandbox._delivery import Delivery
from ca_embed.sandbox._journal import JournalEntry
from ca_embed.sandbox._knobs import Knobs
from ca_embed.sandbox._sandbox import Sandbox
from ca_embed.sandbox._sessions import PageEvent, SandboxSession

__all__ = ["Delivery", "JournalEntry", "Knobs", "PageEvent", "Sandbox", "SandboxSession"]
