"""One file a noun: the queries on it, each through its project."""
