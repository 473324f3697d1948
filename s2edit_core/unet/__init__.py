"""The UNet side: the base model, attention with keys and values per row, and rows, the only interface that algorithms use.

This room imports `checkpoints`, `request` and `errors`.
"""
