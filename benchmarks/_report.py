"""Writes the figures into docs/performance.md, and draws them."""

from __future__ import annotations

import os
import platform
from html import escape
from math import log10
from pathlib import Path

from benchmarks._measure import Figure

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
BAR, LEFT, WIDTH = 18, 430, 300
MET, MISSED = "#15803d", "#c2410c"


def write(parts: dict[str, list[Figure]]) -> None:
    """Replace the tables between the markers, and the plot."""
    page = DOCS / "performance.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(f"### {title}\n\n{_table(figures)}" for title, figures in parts.items())
    page.write_text(f"{before}{BEGIN}\n\n{machine()}\n\n{tables}\n{END}{after}", encoding="utf-8")
    aimed = [figure for figures in parts.values() for figure in figures if figure.target is not None]
    (DOCS / "performance.svg").write_text(draw(aimed), encoding="utf-8")


def machine() -> str:
    """Say in general terms what the figures were measured on."""
    system = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    cores = os.cpu_count()
    return f"Measured with Python {platform.python_version()} on {system}, {cores} cores, {_disk()}."


def _disk() -> str:
    """Say what kind of disk temporary files are on."""
    folder = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 (only looked at)
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    fitting = [mount for mount in mounts if f"{folder}/".startswith(mount[1].rstrip("/") + "/")]
    device, _, kind, *_ = max(fitting, key=lambda mount: len(mount[1]))
    disk = "a virtual disk" if device.startswith("/dev/vd") else "a disk" if device[0] == "/" else "memory"
    return f"{kind} on {disk}"


def _table(figures: list[Figure]) -> str:
    lines = ["| | ratio | target | ours | theirs | |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for one in figures:
        sign = "≥" if one.more_is_better else "≤"
        target = "" if one.target is None else f"{sign} {one.target:g}"
        lines.append(
            f"| {one.name} | {one.ratio:.2f} | {target} | {one.ours:,.1f} | {one.theirs:,.1f} | {one.unit} |"
        )
    return "\n".join(lines) + "\n"


def draw(figures: list[Figure]) -> str:
    """Return an SVG: a bar for each ratio, and a mark where its target is. The axis is logarithmic."""
    height = 70 + BAR * len(figures)
    low, high = 0.25, 16.0

    def place(ratio: float) -> float:
        inside = min(max(ratio, low), high)
        return LEFT + WIDTH * (log10(inside) - log10(low)) / (log10(high) - log10(low))

    drawn = []
    for number in (0.25, 0.5, 1, 2, 4, 8, 16):
        x = place(number)
        drawn.append(f'<line x1="{x:.1f}" y1="40" x2="{x:.1f}" y2="{height - 20}" stroke="#ddd"/>')
        drawn.append(f'<text x="{x:.1f}" y="34" text-anchor="middle">{number:g}</text>')
    for row, one in enumerate(figures):
        y = 46 + BAR * row
        assert one.target is not None
        met = one.ratio >= one.target if one.more_is_better else one.ratio <= one.target
        begin, end = sorted((place(1), place(one.ratio)))
        drawn.append(
            f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(one.name)}</text>'
            f'<rect x="{begin:.1f}" y="{y + 2}" width="{max(end - begin, 1):.1f}" height="{BAR - 6}" '
            f'fill="{MET if met else MISSED}"/>'
            f'<line x1="{place(one.target):.1f}" y1="{y}" x2="{place(one.target):.1f}" y2="{y + BAR - 2}" '
            f'stroke="black" stroke-width="2"/>'
            f'<text x="{LEFT + WIDTH + 8}" y="{y + 11}">{one.ratio:.2f}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height}" '
        'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{LEFT}" y="16" font-weight="bold">ours : theirs; the black mark is the target</text>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )
