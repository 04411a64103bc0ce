"""The ways to remove words from windows of tokens: one file each. NumPy alone.

Imported by ``corpora`` only; others ask :mod:`corpora.objectives` for the remover of an objective.
"""
