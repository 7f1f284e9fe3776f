"""Measures everything: `python -m benchmarks`. See `make bench` and `make bench-check`.

    python -m benchmarks                   measure, and write docs/performance.md and its plot
    python -m benchmarks --baseline        also keep the ratios, for later comparisons
    python -m benchmarks --check           measure, and name the ratios that have moved; write nothing
    python -m benchmarks --only verify     measure a part, and write nothing

QUICK=1 measures for a short time, for a first look.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

from benchmarks import _report
from benchmarks._measure import Figure

PARTS = {
    "verify": "Verifying and reading one webhook",
    "receiver": "The whole receiver, in process",
    "pages": "Pages and their requests, in process",
    "servers": "Under real servers",
    "commits": "Durable saves",
    "start": "Starting up",
    "size": "The element",
}
BASELINE = Path(__file__).with_name("baseline.json")
MOVED = 1.25  # a ratio that is this many times worse or better than the kept one


def main() -> int:
    """Measure what the arguments say."""
    arguments = _arguments()
    measured: dict[str, list[Figure]] = {}
    for part in arguments.only or PARTS:
        began = time.monotonic()
        print(f"\n== {PARTS[part]}", flush=True)
        measured[part] = importlib.import_module(f"benchmarks.{part}").main()
        print(f"   ({time.monotonic() - began:.0f} s)", flush=True)
    ratios = {figure.name: figure.ratio for figures in measured.values() for figure in figures}
    if arguments.check:
        return _compare(measured)
    if not arguments.only:
        _report.write({PARTS[part]: figures for part, figures in measured.items()})
    if arguments.baseline:
        text = json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()}, indent=1)
        BASELINE.write_text(text + "\n", encoding="utf-8")
    return 0


def _compare(measured: dict[str, list[Figure]]) -> int:
    """Print what has moved since the baseline. Return 1 if something got worse."""
    kept: dict[str, float] = json.loads(BASELINE.read_text(encoding="utf-8"))
    worse = False
    for figure in (figure for figures in measured.values() for figure in figures):
        if figure.name not in kept:
            print(f"new: {figure.name}: {figure.ratio:.2f}")
            continue
        change = figure.ratio / kept[figure.name]
        cost = 1 / change if figure.more_is_better else change
        if not 1 / MOVED <= cost <= MOVED:
            word = "worse" if cost > 1 else "better"
            print(f"{word}: {figure.name}: {figure.ratio:.2f}, was {kept[figure.name]:.2f}")
            worse = worse or cost > 1
    print("" if worse else "nothing got worse")
    return int(worse)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure everything, as ratios in one run.")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="measure only these parts")
    parser.add_argument("--baseline", action="store_true", help="keep the ratios for later comparisons")
    parser.add_argument("--check", action="store_true", help="compare with the kept ratios")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
