"""Use cases: every business rule that both the API and the workers need, one short transaction each.

Imported by api, workers and cli.
"""
