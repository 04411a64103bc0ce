"""Neural networks in torch, with the tensor names of the Hugging Face layout.

Imported by training.
"""
