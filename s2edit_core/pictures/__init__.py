"""Files to pictures and masks: formats, containers, metadata, orientation, limits while decoding. No torch.

This room imports `request` and `errors`.
"""
