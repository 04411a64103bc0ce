"""The HTTP API: routes, schemas, errors.

Imported by nobody: the server loads `api.app`.
"""
