"""`make interleavings`: every order of the calls of two and three workers, then one line of figures.

python -m tests.interleavings [--write] [NAME ...]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time

from tests.interleavings.explorer import Explored
from tests.interleavings.situations import OF_THREE, SITUATIONS
from tools.reliability import table, write_section

_ALL = {**SITUATIONS, **OF_THREE}


def main() -> int:
    """Explore the situations whose names are given, or all. Return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="like 'accept x accept'; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    options = parser.parse_args()
    began, rows, broken = time.monotonic(), [], 0
    total = Explored()
    with multiprocessing.Pool(options.jobs) as pool:
        for name, explored, problem in pool.imap(_explore, options.names or _ALL):
            print(
                f"{name}: {problem or f'{explored.orders:,} orders, {explored.states:,} states'}", flush=True
            )
            rows.append((name, f"{explored.orders:,}", f"{explored.states:,}"))
            total.orders += explored.orders
            total.states += explored.states
            broken += bool(problem)
    figures = (
        f"{len(rows)} situations, {total.orders:,} orders of storage calls in {total.states:,} different "
        f"states: {broken} broken promises; {time.monotonic() - began:.0f} s"
    )
    if options.write:
        write_section("interleavings", f"{figures}.\n\n" + table(["who meets", "orders", "states"], rows))
    print(figures)
    return 1 if broken else 0


def _explore(name: str) -> tuple[str, Explored, str]:
    try:
        return name, _ALL[name].explore(), ""
    except AssertionError as error:
        return name, Explored(), str(error)


if __name__ == "__main__":
    sys.exit(main())
