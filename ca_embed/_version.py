"""The version of ca_embed, in one place."""

__version__ = "0.1.0"
