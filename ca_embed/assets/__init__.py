"""What goes to the browser: the script and the HTML."""
