"""The published quality rules, by their sources: names and thresholds, nothing that runs."""
