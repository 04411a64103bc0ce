"""The `pretrainer` command.

Imported by nobody. Each module loads what it needs and no more: the parent of `pretrainer up`
holds neither torch nor fastapi nor SQLAlchemy.
"""
