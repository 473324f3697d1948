"""Files to pictures and masks: formats, containers, metadata, orientation, and limits while decoding. Loads no torch.

This room imports `request` and `errors`.
"""
