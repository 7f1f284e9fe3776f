"""Shared fixtures."""

from tests.doors.fixtures import client_of, door, sandbox

__all__ = ["client_of", "door", "sandbox"]
