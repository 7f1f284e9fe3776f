"""Keeps records in SQLite."""
