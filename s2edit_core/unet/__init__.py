"""The device side: rows, the only interface between algorithms and the UNet, and attention with keys and values per row.

This room imports `checkpoints`, `request` and `errors`.
"""
