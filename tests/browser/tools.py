"""Node.js and what js/package.json brings."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "js" / "node_modules"


def node(*command: str) -> subprocess.CompletedProcess[str]:
    """Run one of the asset's own tools; without them it fails under CI, elsewhere it is skipped by name."""
    if not shutil.which("node") or not MODULES.exists():
        told = "install Node.js 20 and run: npm --prefix js ci"
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
