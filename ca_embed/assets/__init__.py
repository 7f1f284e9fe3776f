"""The script and the HTML for the browser."""

__all__: list[str] = []
