"""The base model as files: the layout of folders and checkpoints, the model card, the noise schedule, the fingerprint, and loading.

This room imports `request` and `errors`.
"""
