"""The base model as files: the layout of folders and checkpoints, the model card, the noise schedule, the fingerprint, and loading.

To add an architecture such as SDXL, follow "Add a backbone" in CONTRIBUTING.md.

This room imports `request` and `errors`.
"""
