"""The script and the HTML for the browser."""
