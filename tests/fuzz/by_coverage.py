"""Fuzzes one target by coverage, with atheris: `python -m tests.fuzz.by_coverage record -max_total_time=60`.

The words after the name are libFuzzer's. It ends the process, with an exit code of its own for a find.
"""

from __future__ import annotations

import logging
import sys

import atheris

if __name__ == "__main__":
    name, *words = sys.argv[1:]
    # What is instrumented must be imported for the first time here.
    with atheris.instrument_imports(
        include=["ca_embed", "werkzeug", "urllib3", "http.client", "email", "json", "requests"]
    ):
        from tests.fuzz.targets import TARGETS
    logging.disable(logging.CRITICAL)
    atheris.Setup([sys.argv[0], *words], TARGETS[name].run)
    atheris.Fuzz()
