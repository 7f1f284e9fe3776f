"""Records in a database of SQLAlchemy: PostgreSQL, MySQL, MariaDB."""
