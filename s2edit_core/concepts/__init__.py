"""Concepts: what was learned about a user, and how prompts with concepts become keys, values and gates for the UNet.

This room imports `unet`, `base_model`, `request` and `errors`.
"""
