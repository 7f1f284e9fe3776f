"""Prints how many symbols ca_embed exports and how many of them have a known type; fails beyond the limits.

Counted by `pyright --verifytypes`. A symbol is exported unless it, its class or its module begins with an
underscore. Untyped dependencies, as Django is, do not count against us.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SYMBOLS_LIMIT = 600  # fewer than this; what is exported is a promise


def main() -> int:
    """Print the two numbers and the symbols without a known type; return the exit code."""
    report = _verify_types()
    exported = [symbol for symbol in report["symbols"] if symbol["isExported"]]
    vague = [symbol for symbol in exported if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]]
    for symbol in vague:
        print(f"{symbol['name']}: {_reason(symbol)}")
    complete = 100 * (1 - len(vague) / len(exported))
    print(f"exported symbols: {len(exported)} (fewer than {SYMBOLS_LIMIT} are allowed)")
    print(f"with a known type: {complete:.1f} % (100 % are needed)")
    return 1 if vague or len(exported) >= SYMBOLS_LIMIT else 0


def _verify_types() -> dict[str, Any]:
    # Without PYTHONPATH, pyright does not find py.typed through an editable install.
    command = ["pyright", "--verifytypes", "ca_embed", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(  # noqa: S603 (nothing in it comes from outside)
        [*command, "--pythonpath", sys.executable],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=False,  # it fails where a type is unknown: main() says which
        text=True,
    )
    report: dict[str, Any] = json.loads(done.stdout).get("typeCompleteness", {})
    if not report.get("symbols"):
        raise SystemExit(f"pyright found no typed package ca_embed in {ROOT}:\n{done.stdout}")
    return report


def _reason(symbol: dict[str, Any]) -> str:
    messages = [str(found["message"]).partition("\n")[0].strip() for found in symbol["diagnostics"]]
    return messages[0] if messages else "it uses a symbol without a known type"


if __name__ == "__main__":
    sys.exit(main())
