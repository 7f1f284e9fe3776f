"""Measures contenders in turns, so that a busy moment of the machine affects all of them alike."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

QUICK = bool(os.environ.get("QUICK"))
"""Whether to measure for a short time only. Such figures are for a first look."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured comparison.

    name: what was measured, unique in a run.
    ratio: ours to theirs. What "ours" and "theirs" are, the name says.
    ours, theirs: the measured values, in `unit`.
    more_is_better: True for rates, False for times and sizes.
    target: the ratio that we aim at; None if there is none.
    """

    name: str
    ratio: float
    ours: float
    theirs: float
    unit: str
    more_is_better: bool = False
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """A call to measure, and what makes the argument of each call beforehand, unmeasured."""

    call: Callable[[Any], object]
    make: Callable[[], Any] = object


def turns(
    contenders: Mapping[str, Contender],
    *,
    rounds: int = 60,
    block: float = 0.004,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return the seconds for one call of each contender, once for each round.

    In each round every contender runs for about `block` seconds, each time in another order.
    clock: `time.thread_time` for work that waits for nothing.
    """
    if QUICK:
        rounds = max(5, rounds // 6)
    calls = {name: _calls_in(block, contender, clock) for name, contender in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name in names:
                seconds[name].append(_seconds_for_one(contenders[name], calls[name], clock))
            names.append(names.pop(0))
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return seconds


def compared(
    name: str,
    seconds: Mapping[str, list[float]],
    ours: str,
    theirs: str,
    *,
    target: float | None = None,
) -> Figure:
    """Return the ratio of two contenders' times, each from its best tenth: other rounds were disturbed."""
    own, other = best(seconds[ours]), best(seconds[theirs])
    return Figure(name, own / other, own * 1e6, other * 1e6, "µs", target=target)


def paired(
    name: str, ours: list[float], theirs: list[float], unit: str = "ms", *, target: float | None = None
) -> Figure:
    """Return the ratio of two values that were measured in turns: the median of the ratios of all turns."""
    ratio = statistics.median(own / other for own, other in zip(ours, theirs, strict=True))
    return Figure(name, ratio, statistics.median(ours), statistics.median(theirs), unit, target=target)


def rates(name: str, ours: list[float], theirs: list[float], *, target: float | None = None) -> Figure:
    """Return the ratio of two rates that were measured in turns, in operations a second."""
    return replace(paired(name, ours, theirs, "/s", target=target), more_is_better=True)


def show(figures: list[Figure]) -> list[Figure]:
    """Print figures, one a line, and return them."""
    for one in figures:
        better = "more" if one.more_is_better else "less"
        goal = "" if one.target is None else f"  target: {one.target:g} or {better}"
        print(f"{one.name:76}{one.ratio:7.2f}  {one.ours:10,.1f} : {one.theirs:,.1f} {one.unit}{goal}")
    return figures


def best(values: list[float]) -> float:
    """Return the best of many times: the median of their best tenth."""
    return statistics.median(sorted(values)[: max(1, len(values) // 10)])


def _calls_in(seconds: float, contender: Contender, clock: Callable[[], float]) -> int:
    _seconds_for_one(contender, 1, clock)
    return max(1, int(seconds / max(_seconds_for_one(contender, 10, clock), 1e-8)))


def _seconds_for_one(contender: Contender, calls: int, clock: Callable[[], float]) -> float:
    call = contender.call
    arguments = [contender.make() for _ in range(calls)]
    begin = clock()
    for argument in arguments:
        call(argument)
    return (clock() - begin) / calls
