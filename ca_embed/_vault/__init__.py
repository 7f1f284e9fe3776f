"""Stored registrations: sealed with keys, changed by compare-and-swap, and maintained."""
