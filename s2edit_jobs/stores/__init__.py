"""The ports to what outlives a process (object store, job store, queue) and their adapters.

This room imports `records` and `settings`.
"""
