"""Use cases: every business rule that both the API and the workers need, in short transactions.

Imported by api and workers.
"""
