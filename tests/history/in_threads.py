"""Records the history of a storage that threads of this process use."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Thread

from ca_embed.storage import Storage
from ca_embed.testing import HistoryReport, RecordedStorage, check_history
from ca_embed.testing._history.workload import STOP, Worker, read_all

_GENERATION = 250  # calls


def record_threads(
    storage: Storage, folder: Path, *, calls: int, threads: int = 4, seed: int = 1
) -> HistoryReport:
    """Let threads make so many calls in total, and check what they got."""
    recorded = RecordedStorage(storage, folder / "threads.jsonl")
    made = iter(range(calls))

    def generation() -> int:
        number = next(made, None)
        return STOP if number is None else 1 + number // _GENERATION

    workers = [Worker(recorded, generation, f"t{number}", seed) for number in range(threads)]
    running = [Thread(target=worker.work, args=(None,)) for worker in workers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    with suppress(RuntimeError):  # of a mutant; the history has it
        read_all(recorded)
    recorded.close()
    return check_history(folder)
