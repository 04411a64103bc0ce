"""The HTTP API: routes, schemas, errors.

Imported by cli.
"""
