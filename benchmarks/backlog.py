"""What a backlog of open sessions costs a pass of `reconcile()`, in each durable storage.

    python -m benchmarks.backlog
    python -m benchmarks.backlog --sizes 1000 100000 --storages sqlite postgresql

Prints, for each number of open sessions that are all due, the seconds of a pass that runs one due handler
and asks about 100 sessions, and the ratio of the last number to the first. The Partner API is played here.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.storage_scale import PLACES
from ca_embed import PartnerClient, Result
from tests.doors.clients import WsgiClient
from tests.flow.kit import Clock, build, delivery, sealed_sessions

CREATED = 1_790_000_000.0  # Unix seconds
ASKED = 100


def main() -> None:
    """Measure what the arguments name."""
    logging.getLogger("ca_embed").setLevel(logging.CRITICAL)
    arguments = _arguments()
    print(f"{'seconds of a pass':24}" + "".join(f"{size:>12,}" for size in arguments.sizes) + f"{'ratio':>9}")
    for name in arguments.storages:
        try:
            seconds = [_measure(name, size) for size in arguments.sizes]
        except BaseException as error:
            if type(error).__name__ not in ("Skipped", "ImportError", "ModuleNotFoundError"):
                raise
            print(f"{name}: left out, {error}", file=sys.stderr)
            continue
        times = "".join(f"{one:12.2f}" for one in seconds)
        print(f"{name:24}{times}{seconds[-1] / seconds[0]:9.2f}", flush=True)


def _measure(name: str, size: int) -> float:
    clock = Clock(CREATED + 3600)
    with PLACES[name]() as place:
        place.fill(sealed_sessions(size, CREATED))
        embed, runs = build(storage=place.storage, clock=clock), list[str]()

        @embed.on_completed(name="fails at first")
        def connect(registration: object, _credentials: object) -> None:
            runs.append(repr(registration))
            if len(runs) == 1:
                raise RuntimeError("not yet")

        WsgiClient(embed.wsgi).deliver(delivery(at=clock()))
        clock.advance(16)
        began = time.perf_counter()
        with patch.object(PartnerClient, "result", lambda _client, _id: Result("started")):
            did = embed.reconcile(limit=ASKED)
        seconds = time.perf_counter() - began
        assert (did.asked, did.handlers_done) == (ASKED, 1), did
        embed.close()
    return seconds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000], metavar="N")
    parser.add_argument("--storages", nargs="+", choices=PLACES, default=list(PLACES))
    return parser.parse_args()


if __name__ == "__main__":
    main()
