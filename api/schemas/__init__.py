"""One file a resource: what goes over the wire."""
