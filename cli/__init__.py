"""The pretrainer command.

Imported by nobody.
"""
