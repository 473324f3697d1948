"""The UNet side: rows, which are the only interface between the algorithms and the UNet, and attention with keys and values per
row.

This room imports `checkpoints`, `request` and `errors`.
"""
