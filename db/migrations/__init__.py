"""Alembic's scripts, run by `db.migrate`."""
