"""The engine: a spec and a dataset in, checkpoints out.

Knows no database, no store, no HTTP; talks outward through ports. Imported by workers, and
beyond its ports by workers.trainer_process alone.
"""
