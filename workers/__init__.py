"""The processes that do background work: Celery worker, runner, and its children.

Imported by nobody but cli.
"""
