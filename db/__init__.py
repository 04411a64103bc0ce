"""Tables, queries, transactions and migrations: all SQL lives here.

Imported by services, by workers and api for the unit of work, and by cli to migrate.
"""
