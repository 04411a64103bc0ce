"""Pages for people: what the API answers to a browser. Only `api.routes` imports this."""
