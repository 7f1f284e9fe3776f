"""`make simulate`: many seeds in parallel, then the planted defects, then one line of figures.

python -m tests.simulation --seeds 2000 --steps 300      # figures; --write puts them into the docs
python -m tests.simulation --seed 17 --steps 300         # one seed, with its trace
python -m tests.simulation --defects                     # the planted defects alone
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from tests.simulation.defects import DEFECTS
from tests.simulation.search import STEPS, Found, search
from tests.simulation.simulation import Outcome, simulate
from tools.reliability import table, write_section

_SHOWN = 60  # lines of the trace of a broken promise
_MOST_SEEDS = 400  # for one planted defect


def main() -> int:
    """Run what the command line asks for. Return 1 if a promise was broken or a defect was not found."""
    options = _options()
    if options.seed is not None:
        return _replay(options.seed, options.steps)
    began = time.monotonic()
    outcomes = [] if options.defects else _simulate(options)
    broken = [one for one in outcomes if one.broken]
    found = [] if options.no_defects else list(_parallel(options.jobs, _search, DEFECTS, _tell_found))
    missed = [one for one in found if one.seed is None]
    figures = _figures(outcomes, found, time.monotonic() - began)
    if options.write:
        write_section("simulation", _section(figures, found))
    for one in broken[:3]:
        _show(simulate(one.seed, options.steps, trace=True), options.steps)
    print(figures)
    return 1 if broken or missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many simulations")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, default=300, help="of each simulation")
    parser.add_argument("--seed", type=int, help="replay this one, and print its trace")
    parser.add_argument("--defects", action="store_true", help="search the planted defects alone")
    parser.add_argument("--no-defects", action="store_true", help="plant none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    return parser.parse_args()


def _replay(seed: int, steps: int) -> int:
    outcome = simulate(seed, steps, trace=True)
    print("\n".join(outcome.trace))
    print(outcome.broken or f"seed {seed}: no promise is broken in {steps} steps")
    return 1 if outcome.broken else 0


def _simulate(options: argparse.Namespace) -> list[Outcome]:
    seeds = range(options.first, options.first + options.seeds)
    one_seed = partial(simulate, steps=options.steps)
    return list(_parallel(options.jobs, one_seed, seeds, _tell_outcome))


def _search(what: str) -> Found:
    return search(what, seeds=range(_MOST_SEEDS), steps=STEPS)


def _parallel(
    jobs: int, call: Callable[[Any], Any], items: Iterable[Any], tell: Callable[[Any], None]
) -> Iterator[Any]:
    with multiprocessing.Pool(jobs) as pool:
        for result in pool.imap(call, items):
            tell(result)
            yield result


def _tell_outcome(outcome: Outcome) -> None:
    if outcome.broken:
        print(f"seed {outcome.seed}: {outcome.broken}", flush=True)


def _tell_found(found: Found) -> None:
    how = f"after {found.steps} steps: {found.broken}" if found.seed is not None else "NOT FOUND"
    print(f"{found.what}: {how}", file=sys.stderr, flush=True)


def _show(outcome: Outcome, steps: int) -> None:
    print("\n".join(outcome.trace[-_SHOWN:]))
    print(f"{outcome.broken}\nAll of it: make simulate SEED={outcome.seed} STEPS={steps}\n")


def _figures(outcomes: list[Outcome], found: list[Found], seconds: float) -> str:
    parts = []
    if outcomes:
        days = sum(one.hours for one in outcomes) / 24
        parts.append(
            f"{len(outcomes):,} simulations, {sum(one.steps for one in outcomes):,} steps, "
            f"{sum(one.requests for one in outcomes):,} requests, {days:,.0f} days of virtual time, "
            f"{sum(one.checks for one in outcomes):,} checks: "
            f"{sum(bool(one.broken) for one in outcomes)} broken promises"
        )
    if found:
        hits = sum(one.seed is not None for one in found)
        parts.append(f"{hits} of {len(found)} planted defects found")
    return f"{'; '.join(parts)}; {seconds:.0f} s"


def _section(figures: str, found: list[Found]) -> str:
    rows = [
        (
            one.what,
            f"{one.steps:,}" if one.seed is not None else "not found",
            one.broken.partition(" (step")[0],
        )
        for one in found
    ]
    return f"{figures}.\n\n" + table(["planted defect", "steps until it is found", "broken promise"], rows)


if __name__ == "__main__":
    sys.exit(main())
