"""Runs Node.js and the packages of js/package.json."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "js" / "node_modules"


def node(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command. If Node.js is missing, the test fails under CI and is skipped elsewhere."""
    if not shutil.which("node") or not MODULES.exists():
        advice = "install Node.js 20 and run: npm --prefix js ci"
        pytest.fail(advice) if os.environ.get("CI") == "true" else pytest.skip(advice)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
