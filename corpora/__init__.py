"""Text to tokens: readers, cleaning, deduplication, tokenizers, shards, objectives.

Free of torch, database and HTTP; imported by services, training and workers.
"""
