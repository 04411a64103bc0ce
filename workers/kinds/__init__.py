"""What a runner does for each kind of work."""
