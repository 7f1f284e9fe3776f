"""Draws the curves of the storage benchmark: one panel for each storage, with logarithmic axes."""

from __future__ import annotations

from math import ceil, floor, log10

WIDTH, HEIGHT, LEFT, TOP, GAP = 260, 200, 60, 40, 40
COLOURS = ("#1b6ca8", "#c2410c", "#15803d", "#7e22ce", "#a16207")


def draw(curves: dict[str, dict[str, list[float]]], sizes: list[int]) -> str:
    """Return an SVG. `curves` has the seconds at each size, by storage and operation."""
    every = [
        second for operations in curves.values() for seconds in operations.values() for second in seconds
    ]
    low, high = floor(log10(min(every))), ceil(log10(max(every)))
    panels = [
        _panel(LEFT + number * (WIDTH + GAP), name, operations, sizes, (low, high))
        for number, (name, operations) in enumerate(curves.items())
    ]
    names = next(iter(curves.values()))
    total = LEFT + len(curves) * (WIDTH + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{TOP + HEIGHT + 60}" '
        'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        + _scale(low, high)
        + "".join(panels)
        + _legend(list(names))
        + "</svg>\n"
    )


def _panel(
    left: int, name: str, operations: dict[str, list[float]], sizes: list[int], decades: tuple[int, int]
) -> str:
    drawn = [f'<text x="{left}" y="{TOP - 12}" font-weight="bold">{name}</text>\n']
    drawn.append(
        f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>\n'
    )
    places = [left + WIDTH * _share(size, log10(sizes[0]), log10(sizes[-1])) for size in sizes]
    for colour, seconds in zip(COLOURS, operations.values(), strict=True):
        heights = [TOP + HEIGHT * (1 - _share(second, *decades)) for second in seconds]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, heights, strict=True))
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>\n')
    for place, size in ((places[0], sizes[0]), (places[-1], sizes[-1])):
        anchor = "start" if size == sizes[0] else "end"
        drawn.append(
            f'<text x="{place:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="{anchor}">{size:,}</text>\n'
        )
    return "".join(drawn)


def _scale(low: int, high: int) -> str:
    marks = []
    for power in range(low, high + 1):
        y = TOP + HEIGHT * (1 - _share(10.0**power, low, high))
        marks.append(
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0 ** (power + 3):g} ms</text>\n'
        )
    return "".join(marks)


def _legend(names: list[str]) -> str:
    y = TOP + HEIGHT + 44
    return "".join(
        f'<text x="{LEFT + number * 100}" y="{y}" fill="{colour}">{name}</text>\n'
        for number, (name, colour) in enumerate(zip(names, COLOURS, strict=True))
    )


def _share(value: float, low: float, high: float) -> float:
    return (log10(value) - low) / ((high - low) or 1)
