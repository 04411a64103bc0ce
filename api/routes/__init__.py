"""One file a resource: thin endpoints that call services."""
