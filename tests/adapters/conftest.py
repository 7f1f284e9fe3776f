"""At the end of a run, the matrix: adapters by cases."""

from __future__ import annotations

import warnings

import pytest

with warnings.catch_warnings():  # Pyramid imports what setuptools deprecates
    warnings.simplefilter("ignore")
    import pyramid.path  # noqa: F401

_MARKS = {"passed": ".", "failed": "F", "error": "F", "skipped": "s"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one row for each adapter and one column for each case: passed, Failed, skipped, - not run."""
    cells: dict[tuple[str, str], str] = {}
    for outcome, mark in _MARKS.items():
        for report in terminalreporter.stats.get(outcome, []):
            path, *names = report.nodeid.split("::")
            *classes, test = names or [""]  # a file that cannot be collected has no names
            if "/adapters/" in path and classes and (mark != "." or report.when == "call"):
                cell = (classes[0].removeprefix("Test"), test.partition("[")[0].removeprefix("test_"))
                cells[cell] = max(mark, cells.get(cell, mark))
    adapters = {adapter for adapter, case in cells if case == "full_flow"}
    cells = {cell: mark for cell, mark in cells.items() if cell[0] in adapters}
    if cells:
        _print(terminalreporter, cells)


def _print(terminalreporter: pytest.TerminalReporter, cells: dict[tuple[str, str], str]) -> None:
    adapters = sorted({adapter for adapter, _ in cells}, key=str.lower)
    cases = sorted({case for _, case in cells})
    terminalreporter.section("adapters by cases")
    terminalreporter.line(" " * 22 + "".join(f"{number:4}" for number in range(1, len(cases) + 1)))
    for adapter in adapters:
        marks = "".join(f"{cells.get((adapter, case), '-'):>4}" for case in cases)
        terminalreporter.line(f"{adapter:22}{marks}")
    terminalreporter.line(", ".join(f"{number} {case}" for number, case in enumerate(cases, 1)))
