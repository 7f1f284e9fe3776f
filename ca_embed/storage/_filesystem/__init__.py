"""Keeps records in files."""
