"""A user as a set of keys and values: what was learned, and how prompts and concepts become what the UNet takes.

This room imports `unet` and what lies below it.
"""
