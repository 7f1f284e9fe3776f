"""The size of the element beside those of other embeds: `python -m benchmarks.size`.

`python -m benchmarks.element` also measures it in a browser.
"""

from __future__ import annotations

import gzip

from benchmarks._measure import Figure, show
from benchmarks.element import PUBLISHED
from tests.browser.site import ASSET


def main() -> list[Figure]:
    """Print the ratios of the gzipped sizes."""
    own = len(gzip.compress(ASSET.read_bytes(), 9, mtime=0))
    return show(
        [
            Figure(f"gzipped size of the element, to {name}", own / size, own, size, "bytes")
            for name, size in PUBLISHED
        ]
    )


if __name__ == "__main__":
    main()
