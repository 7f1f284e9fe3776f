"""Keeps records in Redis."""
