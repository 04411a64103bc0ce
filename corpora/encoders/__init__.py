"""Engines that turn text into token ids, all with the ids of `tokenizers`.

``corpora.encoders.opening`` chooses one: the fastest that gives the same ids on the corpus at hand.
Only processes that encode whole corpora import this package.
"""
