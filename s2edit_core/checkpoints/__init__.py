"""A base model as files: what a folder or checkpoint holds, its card, its noise schedule, its fingerprint, and loading it.

This room imports `request` and `errors`.
"""
