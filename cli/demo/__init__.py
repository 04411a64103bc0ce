"""The demonstration: a client of the service that knows HTTP and nothing else of it."""
