"""A local stand-in for ChatArchitect: its Partner API, its registration page and its webhooks.

It follows ChatArchitect's "Partner API and Embed Integration Guide" to the letter. It shares no code
with the rest of ca_embed, because it plays the other party. It keeps everything in memory.

    with Sandbox() as sandbox:
        embed = Embed(base_url=sandbox.base_url, partner_token=sandbox.partner_token, ...)
        session = embed.create_session("user_456")
        sandbox.complete(session.registration_id)

A person can go through the page at `iframe_url`. `<base_url>/sandbox` shows what happened.

- `Sandbox`: starts the stand-in, and completes, expires, fails or cancels registrations.
- `Knobs`: what the sandbox does wrong on purpose; it is at `Sandbox.knobs`.
- `SandboxSession`: one registration, as `Sandbox.session()` and `Sandbox.sessions` return it.
- `PageEvent`: one event in `SandboxSession.events`.
- `Delivery`: the outcome of one webhook, as `Sandbox.complete()` and `Sandbox.deliver()` return it.
- `JournalEntry`: one call or delivery in `Sandbox.journal`.
"""

from __future__ import annotations

from ca_embed.sandbox._delivery import Delivery
from ca_embed.sandbox._journal import JournalEntry
from ca_embed.sandbox._knobs import Knobs
from ca_embed.sandbox._sandbox import Sandbox
from ca_embed.sandbox._sessions import PageEvent, SandboxSession

__all__ = ["Delivery", "JournalEntry", "Knobs", "PageEvent", "Sandbox", "SandboxSession"]
