"""`python -m ca_embed`: the command line."""

from __future__ import annotations

from ca_embed._cli import main

if __name__ == "__main__":
    raise SystemExit(main())
