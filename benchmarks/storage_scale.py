"""What a registration costs in each durable storage, from a thousand stored registrations to a million.

    python benchmarks/storage_scale.py
    python benchmarks/storage_scale.py --sizes 1000 1000000 --storages sqlite postgresql --svg scale.svg

Prints the median time of each operation at each size, and the ratio of the last size to the first: 1.0
is flat. The servers are started for the purpose, if they are installed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scale import fill
from benchmarks.scale.chart import draw
from ca_embed.storage import SealedRecord, Storage

PLACES: dict[str, Callable[[], AbstractContextManager[fill.Place]]] = {
    "file": fill.files,
    "sqlite": fill.sqlite,
    "postgresql": fill.postgresql,
    "mariadb": fill.mariadb,
    "redis": fill.redis,
}
TIMES = 200  # each operation is done that often
PAGE = 100  # as many as reconciliation takes at once
DOCUMENT = os.urandom(1000)  # about as long as a sealed one

Curves = dict[str, list[float]]  # seconds at each size, by operation


def main() -> None:
    """Measure what the arguments name."""
    arguments = _arguments()
    curves: dict[str, Curves] = {}
    for name in arguments.storages:
        try:
            curves[name] = _measure(name, arguments.sizes)
        except ImportError as error:
            print(f"{name}: left out, for lack of {error.name}", file=sys.stderr)
        except BaseException as error:
            if type(error).__name__ != "Skipped":  # how a server says that it is not installed
                raise
            print(f"{name}: left out, {error}", file=sys.stderr)
    _print(curves, arguments.sizes)
    if arguments.svg:
        arguments.svg.write_text(draw(curves, arguments.sizes), encoding="utf-8")


def _measure(name: str, sizes: list[int]) -> Curves:
    curves: Curves = {"create": [], "complete": [], "status": [], "pick due": [], "list a user's": []}
    stored = 0
    with PLACES[name]() as place:
        for size in sizes:
            place.fill(_records(stored, size))
            stored = size
            for operation, act in _operations(place.storage, size).items():
                curves[operation].append(statistics.median(_timed(act, number) for number in range(TIMES)))
            stored += TIMES
            print(f"{name}: {size:,} measured", file=sys.stderr)
    return curves


def _operations(storage: Storage, size: int) -> dict[str, Callable[[int], object]]:
    """Return each operation on the n-th of the records that it is measured with."""
    step = size // TIMES

    def complete(number: int) -> None:
        record = storage.load(_id(size + number))
        assert record is not None
        completed = SealedRecord(record.registration_id, 2, record.user_id, None, DOCUMENT)
        assert storage.save(completed)

    return {
        "create": lambda number: storage.save(_record(size + number)),
        "complete": complete,
        "status": lambda number: storage.load(_id(number * step)),
        "pick due": lambda _: storage.due(1e10, limit=PAGE),
        "list a user's": lambda number: storage.list(user_id=f"user-{number}", limit=PAGE),
    }


def _records(first: int, end: int) -> Iterator[SealedRecord]:
    return (_record(number) for number in range(first, end))


def _record(number: int) -> SealedRecord:
    """One in ten is still open, and due some time. A user has five."""
    due_at = 1_700_000_000.0 + number % 9973 if number % 10 == 0 else None
    return SealedRecord(_id(number), 1, f"user-{number // 5}", due_at, DOCUMENT)


def _id(number: int) -> str:
    """Spread the ids as random ones are."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:08x}"


def _timed(act: Callable[[int], object], number: int) -> float:
    began = time.perf_counter()
    act(number)
    return time.perf_counter() - began


def _print(curves: dict[str, Curves], sizes: list[int]) -> None:
    print(f"{'median in µs':24}" + "".join(f"{size:>12,}" for size in sizes) + f"{'ratio':>9}")
    for name, operations in curves.items():
        for operation, seconds in operations.items():
            times = "".join(f"{second * 1e6:12,.0f}" for second in seconds)
            print(f"{name + ' ' + operation:24}{times}{seconds[-1] / seconds[0]:9.2f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000], metavar="N")
    parser.add_argument("--storages", nargs="+", choices=PLACES, default=list(PLACES))
    parser.add_argument("--svg", type=Path, help="draw the curves into this file")
    arguments = parser.parse_args()
    if arguments.sizes != sorted(set(arguments.sizes)) or arguments.sizes[0] < TIMES:
        parser.error(f"--sizes must rise, and begin with {TIMES} or more")
    return arguments


if __name__ == "__main__":
    main()
