"""What goes to the browser: the script and the HTML."""

__all__: list[str] = []
