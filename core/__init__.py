"""The words of the project: specs, statuses, errors, ids, clock, settings, sizing arithmetic.

Everyone may import it; it imports nothing of ours.
"""
