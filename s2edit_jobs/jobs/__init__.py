"""Jobs in object store and job store: accept, read, cancel, finish; the same request twice is one job.

This room imports `bootstrap` and what lies below it.
"""
