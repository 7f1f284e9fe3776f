"""The Partner API: its calls, the bounded HTTP below them, and one client for each token."""
