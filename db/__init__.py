"""Tables, queries, transactions and migrations: all SQL lives here.

Imported by services, and by workers, api and cli for the unit of work.
"""
