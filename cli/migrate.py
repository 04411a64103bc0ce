"""`pretrainer migrate`: the database's schema, brought up to date."""

from __future__ import annotations

from core.settings import Settings
from db.engine import Database


def migrate(settings: Settings) -> int:
    """Upgrade the schema; several processes may call this at once, and one of them does it.

    Raises:
        InvalidRequest: the URL names no database that we know.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.database_url)
    try:
        database.migrate()
        state = database.check()
    finally:
        database.close()
    print(f"{state.engine} {state.version}: schema {state.revision}")
    return 0
