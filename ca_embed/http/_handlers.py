"""Running the host's handlers before a response leaves."""

from __future__ import annotations

from ca_embed._core import Core
from ca_embed._host.threads import Pool
from ca_embed._registrar import Accepted
from ca_embed.http._steps import Steps, blocking


def run_handlers(core: Core, accepted: Accepted | None) -> Steps[None]:
    """Run the handlers that were claimed, if any. What they raise never changes the response."""
    if accepted is not None and accepted.handover is not None:
        yield from blocking(Pool.HANDLERS, core.registrar.hand_over_safely, accepted.handover)
