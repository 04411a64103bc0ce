"""Bytes by key: a local directory or an object store behind one protocol.

Imported by services, workers and api.
"""
