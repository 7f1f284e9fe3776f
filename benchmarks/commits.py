"""Durable saves a second on each storage, beside the engine's own single-row commits.

    python -m benchmarks.commits

As many threads save as commit alone. A server that is not installed is left out.
"""

from __future__ import annotations

import sys

from benchmarks._commits import ENGINES
from benchmarks._measure import QUICK, Figure, rates, show
from benchmarks.receiver import rate

TARGETS = {("SQLite", 16): 2.0}


def main() -> list[Figure]:
    """Measure all engines that are installed, and print the figures."""
    figures: list[Figure] = []
    for name, engine in ENGINES.items():
        try:
            with engine() as (save, alone):
                for writers in (1, 4, 16):
                    ours, theirs = [], []
                    for _ in range(2 if QUICK else 5):
                        ours.append(rate(save, writers, seconds=0.4))
                        theirs.append(rate(alone, writers, seconds=0.4))
                    what = f"{name}, {writers} writers: saves/s, to its single-row commits"
                    figures.append(rates(what, ours, theirs, target=TARGETS.get((name, writers))))
        except BaseException as error:
            if type(error).__name__ != "Skipped":  # how a server says that it is not installed
                raise
            print(f"{name}: left out, {error}", file=sys.stderr)
    return show(figures)


if __name__ == "__main__":
    main()
