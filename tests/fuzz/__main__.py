"""Fuzzes for a while, and writes the figures into docs/reliability.md: `make fuzz`, `make fuzz SECONDS=600`.

First schemathesis makes requests of the OpenAPI document, for both doors, in each condition. Then atheris
fuzzes each target by coverage. What atheris has learned stays in build/fuzz, and the next run goes on from
there. An input that breaks a promise is printed and kept in build/fuzz, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools.reliability import table, write_section

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "fuzz"


@dataclass(frozen=True)
class Row:
    """What was fuzzed. failed: an input broke a promise."""

    name: str
    inputs: int
    note: str
    failed: bool = False


def main() -> int:
    """Fuzz, write the page, and print one line of figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target of atheris (default: 60)")
    parser.add_argument("--examples", type=int, default=100, help="for each operation and condition")
    parser.add_argument("--no-page", action="store_true", help="leave docs/reliability.md as it is")
    asked = parser.parse_args()
    began = time.monotonic()
    rows = [*requests(asked.examples), *by_coverage(asked.seconds)]
    failed = sum(row.failed for row in rows)
    figures = (
        f"fuzz: {sum(row.inputs for row in rows):,} inputs in {time.monotonic() - began:,.0f} s, "
        f"{failed} of {len(rows)} targets failed"
    )
    if not asked.no_page:
        shown = [(row.name, f"{row.inputs:,}", row.note) for row in rows]
        write_section("fuzz", f"{table(('what', 'inputs', 'result'), shown)}\n\n`{figures}`")
    print(figures)
    return 1 if failed else 0


def requests(examples: int) -> list[Row]:
    """Send requests that schemathesis makes."""
    from tests.fuzz.described import CONDITIONS, DOORS, OPERATIONS, fuzzed_door

    rows = []
    for door in DOORS:
        sent, statuses, failed = 0, set[int](), False
        for condition in CONDITIONS.values():
            with fuzzed_door(door, condition) as fuzzed:
                for operation in OPERATIONS:
                    try:
                        answered = fuzzed.fuzz(operation, examples)
                    except Exception as problem:
                        failed = True
                        print(f"{door}, {operation}, {condition}:\n{problem}", file=sys.stderr)
                        continue
                    sent += sum(answered.values())
                    statuses |= set(answered)
        listed = " ".join(str(status) for status in sorted(statuses))
        note = "failed" if failed else f"none that the document does not list; seen: {listed}"
        rows.append(Row(f"requests at the {door.upper()} door", sent, note, failed))
    return rows


def by_coverage(seconds: int) -> list[Row]:
    """Fuzz each target in a process of its own: libFuzzer ends the process."""
    from tests.fuzz.targets import TARGETS

    rows = []
    for name, target in TARGETS.items():
        folder = WORK / name.replace(" ", "_")
        corpus = folder / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target.seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        words = [
            f"-max_total_time={seconds}",
            "-max_len=4096",
            "-timeout=20",
            "-print_final_stats=1",
            f"-artifact_prefix={folder}/",
        ]
        ran = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.by_coverage", name, *words, str(corpus)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        rows.append(_row(name, ran, folder))
    return rows


def _row(name: str, ran: subprocess.CompletedProcess[str], folder: Path) -> Row:
    executed = re.findall(r"number_of_executed_units: (\d+)", ran.stderr)
    covered = re.findall(r"cov: (\d+)", ran.stderr)
    inputs = int(executed[-1]) if executed else 0
    if ran.returncode or not inputs:
        print(f"{name}: see {folder}\n{ran.stdout[-4000:]}{ran.stderr[-4000:]}", file=sys.stderr)
        return Row(name, inputs, "failed", failed=True)
    return Row(name, inputs, f"none breaks the promise; {covered[-1]} branches reached")


if __name__ == "__main__":
    sys.exit(main())
