"""Where the examples are, which the suite of each adapter runs `ca-embed reconcile --app` on."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
