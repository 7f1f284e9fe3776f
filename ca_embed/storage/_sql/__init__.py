"""Keeps records in PostgreSQL, MySQL or MariaDB, with SQLAlchemy."""
