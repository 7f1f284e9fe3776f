"""Runs Node.js and the packages of js/package.json."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "js" / "node_modules"


def node(*command: str, modules: Path = MODULES, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command. If something is missing for it, the test fails under CI and is skipped elsewhere.

    modules: the packages that the command needs. folder: where it runs.
    """
    if not shutil.which("node") or not modules.exists():
        advice = f"install Node.js 20 and run: npm --prefix {modules.parent.name} ci"
        pytest.fail(advice) if os.environ.get("CI") == "true" else pytest.skip(advice)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
