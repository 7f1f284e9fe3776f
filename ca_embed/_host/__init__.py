"""Calling the host application: its users, its handlers, its threads."""
