"""The object store's adapters, for a folder and for S3, and what proves that a store is the service's own and of this release.

This room imports the port, `stores.artifacts`.
"""
