"""One thin module a framework: its own request in `identify`, its own mount, and the core behind it."""

__all__: list[str] = []
