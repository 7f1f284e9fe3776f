"""An adapter without its framework."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ca_embed import adapters

NAMES = [*(path.stem for path in Path(adapters.__file__).parent.glob("[a-z]*.py")), "django"]
MODULES = {"aws": "mangum"}
IMPORT = """
import sys
sys.modules[sys.argv[2]] = None  # as if it were not installed
try:
    __import__("ca_embed.adapters." + sys.argv[1])
except ImportError as error:
    print(error, type(error.__cause__).__name__, sep="; ")
"""


@pytest.mark.parametrize("name", sorted(NAMES))
def test_without_the_extra(name: str) -> None:
    """An adapter without its framework says which extra to install."""
    module = MODULES.get(name, name)
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT, name, module], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.startswith(f"ca_embed.adapters.{name} needs {module}")
    assert f"pip install 'ca-embed[{name}]'; ModuleNotFoundError" in ran.stdout
