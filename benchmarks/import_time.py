"""Measures how long `import ca_embed` takes, and how long its dependencies would take.

Each figure is the median over new interpreters, minus the time of an interpreter that imports nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15
SUBJECTS = ("ca_embed", "cryptography.hazmat.primitives.ciphers.aead", "werkzeug", "requests")


def milliseconds(program: str) -> float:
    """Run the program in a new interpreter and return the wall-clock time."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603 (a constant program)
    return (time.perf_counter() - begin) * 1000


def main() -> None:
    """Measure the subjects in turns, so that a busy moment of the machine affects all of them."""
    programs = {"pass": "pass"} | {name: f"import {name}" for name in SUBJECTS}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(RUNS):
        for name, program in programs.items():
            times[name].append(milliseconds(program))

    bare = statistics.median(times.pop("pass"))
    print(f"import time over a bare interpreter ({bare:.1f} ms)")
    for name, samples in times.items():
        print(f"  {name:<45} {statistics.median(samples) - bare:7.1f} ms")


if __name__ == "__main__":
    main()
