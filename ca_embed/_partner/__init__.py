"""The Partner API: its calls, the bounded HTTP below them, and one client a token."""
