"""Records as files."""
